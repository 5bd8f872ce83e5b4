"""UD6xx: hops that cannot be measured, and ends of streams by HTTP/2."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD617",
        slug="hop-failed",
        severity=Severity.ERROR,
        message="this hop could not be measured: {error}",
        what="One of the places did not return a stream, while others did.",
        why="""
            The hop may be down for its users, too. What the other places showed is reported, but a
            hold cannot be attributed to a hop that was not measured.
        """,
        detection="""
            By the error of the request: no connection, an error status, or a web page. If no place
            returns a stream, the command ends with exit code 2 instead.
        """,
        causes="""
            A hop with its own model names, its own key or its own form of the request. Credentials
            of -H are sent only to the origin of URL.
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
            The answer is lost in its middle. Browsers show ERR_HTTP2_PROTOCOL_ERROR, whatever the
            cause was.
        """,
        detection="""
            By the frame. The message contains its error code, and whether there was silence before,
            which indicates an idle limit.
        """,
        causes="""
            A hop that translates a broken or closed connection of its origin, usually as
            INTERNAL_ERROR or CANCEL; an idle or total limit (UD403, UD404); a restarted hop.
        """,
        fix="""
            Find the hop, and whether a limit is the cause:

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
            GOAWAY allows open streams to end. A server that closes anyway cuts the answers of all
            clients at each deployment or reload.
        """,
        detection="By GOAWAY, followed by the end of the connection without the end of the stream.",
        causes="""
            A shutdown or reload with a short grace period; a limit on requests or on the age of a
            connection that does not wait for open streams.
        """,
        fix="""
            Let open streams end before the process exits, and give them as long as the longest
            answer:

                nginx:      worker_shutdown_timeout 600s;
                Envoy:      --drain-time-s 600
                hypercorn:  --graceful-timeout 600
        """,
        source="RFC 9113, 6.8.",
    ),
)
