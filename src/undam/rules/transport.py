"""UD114, UD115, UD617 and more: HTTP versions, and hops that cannot be measured."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD114",
        slug="http-versions-differ",
        severity=Severity.WARNING,
        message="the stream is {verdict_2} over HTTP/2, and {verdict_1} over HTTP/1.1",
        what="The same URL holds the stream over one version of HTTP, but not over the other.",
        why="""
            Browsers and most client libraries use HTTP/2 where it is offered; some tools and hops
            use HTTP/1.1. A test with one version of HTTP does not show what users of the other
            version receive.
        """,
        detection="""
            If the server selects HTTP/2 by ALPN, the check sends the request once more over
            HTTP/1.1, and compares the verdicts.
        """,
        causes="""
            Different code paths of a hop, such as a response buffer or a compressor that applies to
            one version only; a separate load balancer for one of the versions.
        """,
        fix="""
            Run the check over the HTTP version that holds the stream, and apply the fix of the
            finding that it reports:

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
            The server's HTTP/2 window was used up by the request body, and the server extended it
            late.
        """,
        why="""
            The wait is part of the time to first token. All streams of a connection share one
            window, so a large prompt of one user delays the requests of others.
        """,
        detection="""
            The stall is the time between the last byte that the window allowed and the
            WINDOW_UPDATE that allowed the rest. The window of this client is larger than any
            answer, so the response never waits for it.
        """,
        causes="""
            A small initial window (65535 bytes by default) with a server that reads slowly, or only
            when a worker is free.
        """,
        fix="""
            Raise the windows of the server, for the stream and for the connection:

                Envoy:    initial_stream_window_size: 1048576
                          initial_connection_window_size: 16777216
                HAProxy:  tune.h2.fe.initial-window-size 1048576
        """,
        source="RFC 9113, 5.2 and 6.9.",
    ),
    Rule(
        code="UD617",
        slug="hop-failed",
        severity=Severity.ERROR,
        message="this hop could not be measured: {error}",
        what="One of the hops did not return a stream, while others did.",
        why="""
            The hop may be unavailable for its users, too. The results of the other hops are
            reported, but a hold cannot be attributed to a hop that was not measured.
        """,
        detection="""
            The request failed: there was no connection, the status was an error, or the response
            was a web page. If no hop returns a stream, the command ends with exit code 2 instead.
        """,
        causes="""
            A hop that requires its own model names, its own key or its own form of request.
            Credentials given with -H are sent only to the origin of URL.
        """,
        fix="""
            Give the hop its own request:

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
        what="The server or a hop ended the HTTP/2 stream with RST_STREAM before the answer ended.",
        why="""
            The rest of the answer is lost. Browsers show ERR_HTTP2_PROTOCOL_ERROR, whatever the
            cause was.
        """,
        detection="""
            An RST_STREAM frame arrived before the end of the stream. The message contains its error
            code, and whether there was silence before, which indicates an idle limit.
        """,
        causes="""
            A hop that translates a broken or closed connection of its origin, usually as
            INTERNAL_ERROR or CANCEL; an idle or total limit (UD403, UD404); a restarted hop.
        """,
        fix="""
            Find the hop that resets the stream, and check whether a time limit is the cause:

                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90

            For an idle limit, send heartbeats, or raise the limit at the hop:

                nginx:  proxy_read_timeout 600s;
        """,
        source="RFC 9113, 6.4 and 7.",
    ),
    Rule(
        code="UD642",
        slug="connection-shutdown",
        severity=Severity.ERROR,
        message="the server closed the connection in mid-stream after {after_s} s: GOAWAY {goaway}",
        what="The server sent GOAWAY, and closed the connection before the open stream had ended.",
        why="""
            GOAWAY allows open streams to end. A server that closes the connection anyway cuts the
            answers of all clients at each deployment or reload.
        """,
        detection="A GOAWAY frame arrived, and the connection ended before the stream did.",
        causes="""
            A shutdown or reload with a short grace period; a limit on requests or on the age of a
            connection that does not wait for open streams.
        """,
        fix="""
            Let open streams end before the process exits, and allow them as much time as the
            longest answer needs:

                nginx:      worker_shutdown_timeout 600s;
                Envoy:      --drain-time-s 600
                hypercorn:  --graceful-timeout 600
        """,
        source="RFC 9113, 6.8.",
    ),
)
