"""UD93x: caveats about the captures that `undam tap` analyzes."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD931",
        slug="packets-missing",
        severity=Severity.INFO,
        message=(
            "{lost_bytes} bytes in {gaps} places reached the receiver but are missing from the "
            "capture"
        ),
        what="The receiver acknowledged data that the capture does not contain.",
        why="""
            Events in missing packets cannot be matched on both sides of a proxy, so they are left
            out. A hold that affects only events in missing packets is not detected.
        """,
        detection="""
            The TCP sequence numbers have a gap, and the receiver acknowledged bytes beyond the gap.
            Packets that the kernel reports as dropped count as well. For an incomplete stream, the
            verdict is based only on events that were captured on both sides. The verdict does not
            use the arrival pattern.
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
        message="{packets} packets were truncated by the capture's snapshot length",
        what="The capture contains only the beginning of some packets.",
        why="""
            The rest of each truncated packet is missing, so most events are missing as well. If a
            stream lacks bytes, its arrival pattern does not allow a verdict.
        """,
        detection="""
            The captured size of a packet is smaller than its size on the wire. Old versions of
            tcpdump truncate packets at 68 or 96 bytes by default.
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
            "the receive windows of clients were full {zero_windows} times: these clients read "
            "more slowly than the proxy sends"
        ),
        what="A client's TCP stack advertised a window of 0 during a stream to this client.",
        why="""
            The proxy cannot send more data until the client reads. Events are therefore delayed
            even if the proxy forwards them immediately.
        """,
        detection="""
            A segment from the client had a window of 0. Streams with such a segment are never
            reported as held by the proxy.
        """,
        fix="""
            Make the client read the response continuously. If the client processes each event, let
            a separate task read the response. On a busy host, give the client more CPU time.
            Changing the proxy does not help.
        """,
    ),
    Rule(
        code="UD934",
        slug="encrypted-connections",
        severity=Severity.INFO,
        message="{connections} connections use {protocol} and were not decoded",
        what="The capture contains connections whose content cannot be decoded.",
        why="The result does not include streams on connections that cannot be decoded.",
        detection="A connection begins with a TLS handshake or with the HTTP/2 preface.",
        fix="""
            For TLS, let the client or the proxy write its TLS keys to a file, and pass this file to
            `undam tap`:

                SSLKEYLOGFILE=keys.log PROGRAM
                undam tap -r FILE --keylog keys.log

            Alternatively, capture behind the hop that terminates TLS.
        """,
    ),
)
