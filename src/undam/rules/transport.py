"""UD114, UD115, UD617 and others: HTTP versions, and hops that cannot be measured."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD114",
        slug="http-versions-differ",
        severity=Severity.WARNING,
        message="the stream is {verdict_2} over HTTP/2, and {verdict_1} over HTTP/1.1",
        what="The stream is held over one HTTP version, but not over the other.",
        why="""
            Browsers and most client libraries use HTTP/2 if the server offers it; some tools and
            hops use HTTP/1.1. A test over one HTTP version does not show how the stream arrives
            over the other version.
        """,
        detection="""
            If the server selects HTTP/2 by ALPN, the check repeats the request over HTTP/1.1 and
            compares the two verdicts.
        """,
        causes="""
            A response buffer or a compressor that a hop applies to only one HTTP version; a
            separate load balancer for one of the versions.
        """,
        fix="""
            Run the check over the HTTP version with the held stream, and apply the fix for the
            reported finding:

                undam check URL --http1
                undam check URL --http2
        """,
    ),
    Rule(
        code="UD115",
        slug="flow-control-stall",
        severity=Severity.WARNING,
        message="the request waited {stall_ms} ms for the flow-control window of the server",
        what="""
            The request body used up the server's HTTP/2 window, and the server extended the window
            late.
        """,
        why="""
            The wait is part of the time to first token. All streams of a connection share one
            window, so one user's large prompt delays other users' requests.
        """,
        detection="""
            The stall is the time between the last byte that the window allowed and the
            WINDOW_UPDATE that allowed the rest. This client's window is larger than any answer, so
            it never delays the response.
        """,
        causes="""
            A small initial window (65535 bytes by default) with a server that reads slowly, or only
            when a worker is free.
        """,
        fix="""
            Raise the server's stream window and connection window:

                Envoy:    initial_stream_window_size: 1048576
                          initial_connection_window_size: 16777216
                HAProxy:  tune.h2.fe.initial-window-size 1048576
        """,
        source="RFC 9113, sections 5.2 and 6.9.",
    ),
    Rule(
        code="UD617",
        slug="hop-failed",
        severity=Severity.ERROR,
        message="this hop could not be measured: {error}",
        what="One of the hops did not return a stream, while other hops did.",
        why="""
            The hop may also be unavailable to its users. The results of the other hops are
            reported. However, a hold cannot be attributed to a hop that was not measured.
        """,
        detection="""
            The request failed: the connection could not be established, the status was an error, or
            the response was a web page. If no hop returns a stream, the command exits with code 2
            instead.
        """,
        causes="""
            The hop requires its own model name, key or request format. Credentials given with `-H`
            are sent only to the origin of the URL argument.
        """,
        fix="""
            Configure a separate request for the hop:

                --hop-header NAME='Authorization: Bearer KEY'
                --hop-model NAME=MODEL
                --hop-data NAME=@FILE
                --hop-curl NAME=@FILE
        """,
    ),
    Rule(
        code="UD641",
        slug="stream-reset",
        severity=Severity.ERROR,
        message="the stream was reset after {after_s} s: RST_STREAM {reset}{silence}",
        what="""
            The server or a hop ended the HTTP/2 stream with RST_STREAM before the answer was
            complete.
        """,
        why="""
            The rest of the answer is lost. Browsers show `ERR_HTTP2_PROTOCOL_ERROR`, whatever the
            cause.
        """,
        detection="""
            An RST_STREAM frame arrived before the end of the stream. The message contains the error
            code of the frame and states whether the stream was silent before the reset. Silence
            before a reset indicates an idle limit.
        """,
        causes="""
            A hop translates a broken or closed connection to its origin into a reset, usually with
            INTERNAL_ERROR or CANCEL. An idle or total limit expired (UD403, UD404). A hop was
            restarted.
        """,
        fix="""
            Find the hop that resets the stream, and check whether a time limit is the cause:

                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90

            If an idle limit is the cause, send heartbeats or raise the limit at the hop:

                nginx:  proxy_read_timeout 600s;
        """,
        source="RFC 9113, sections 6.4 and 7.",
    ),
    Rule(
        code="UD642",
        slug="connection-shutdown",
        severity=Severity.ERROR,
        message="the server closed the connection in mid-stream after {after_s} s: GOAWAY {goaway}",
        what="The server sent GOAWAY and closed the connection before the open stream had ended.",
        why="""
            After a GOAWAY, open streams are allowed to complete. A server that nevertheless closes
            the connection cuts the answers of all clients at each deployment or reload.
        """,
        detection="A GOAWAY frame arrived, and the connection ended before the stream did.",
        causes="""
            A shutdown or reload has a short grace period. A limit on requests or on connection age
            closes the connection without waiting for open streams.
        """,
        fix="""
            Let open streams end before the process exits. Allow as much time as the longest answer
            needs:

                nginx:      worker_shutdown_timeout 600s;
                Envoy:      --drain-time-s 600
                hypercorn:  --graceful-timeout 600
        """,
        source="RFC 9113, section 6.8.",
    ),
)
