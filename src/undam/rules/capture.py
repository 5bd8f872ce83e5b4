"""UD93x: caveats about a capture, which `undam tap` analyzes."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD931",
        slug="packets-missing",
        severity=Severity.INFO,
        message="{lost_bytes} bytes in {gaps} places were received but not captured",
        what="The receiver acknowledged data that the capture does not contain.",
        why="""
            Events in the missing packets cannot be matched on both sides of a proxy. Events in
            missing packets are left out, so a hold that affects only such events is not detected.
        """,
        detection="""
            The sequence numbers have a gap, and the bytes after it were acknowledged. Packets that
            the kernel reports as dropped count as well. The verdict of an incomplete stream comes
            only from events that were captured on both sides, not from its pattern.
        """,
        fix="""
            Capture fewer connections, or capture on an idle host:

                undam tap --port 8080 --port 9000
                tcpdump -i any -s 0 -B 65536 -w FILE 'tcp port 8080 or tcp port 9000'
        """,
    ),
    Rule(
        code="UD932",
        slug="packets-cut",
        severity=Severity.WARNING,
        message="{packets} packets were cut by the capture's snapshot length",
        what="The capture contains only the beginning of some packets.",
        why="""
            The rest of each cut packet is missing, and with it most events. For streams that lack
            bytes, the pattern of arrivals gives no verdict.
        """,
        detection="""
            The captured size of a packet is smaller than its size on the wire. Old versions of
            tcpdump cut packets at 68 or 96 bytes by default.
        """,
        fix="""
            Capture whole packets:

                tcpdump -i any -s 0 -w FILE
                undam tap -r FILE
        """,
    ),
    Rule(
        code="UD933",
        slug="slow-reader",
        severity=Severity.INFO,
        message=(
            "the receive window of clients was full {zero_windows} times: these clients read more "
            "slowly than the proxy sends"
        ),
        what="A client's TCP stack announced a window of 0 while a stream was sent to it.",
        why="""
            The proxy cannot send more until the client reads, so events are delayed although the
            proxy forwards them at once.
        """,
        detection="""
            A segment from the client had a window of 0. Streams with such a segment are never
            reported as held by the proxy.
        """,
        fix="""
            Make the client read the response continuously, in a task of its own if it processes
            each event. On a busy host, give the client more CPU time. Changing the proxy does not
            help.
        """,
    ),
    Rule(
        code="UD934",
        slug="encrypted-connections",
        severity=Severity.INFO,
        message="{connections} connections use {protocol} and were not decoded",
        what="The capture contains connections whose content cannot be read.",
        why="Streams on connections that cannot be read are not part of the result.",
        detection="A connection begins with a TLS handshake, or with the preface of HTTP/2.",
        fix="""
            For TLS, let the client or the proxy write its TLS keys to a file, and pass that file:

                SSLKEYLOGFILE=keys.log PROGRAM
                undam tap -r FILE --keylog keys.log

            Alternatively, capture behind the hop that terminates TLS.
        """,
    ),
)
