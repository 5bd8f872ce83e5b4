"""UD618 and following: standing streams, such as the GET stream of an MCP server."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD618",
        slug="standing-head-held",
        severity=Severity.ERROR,
        message="{what} {waited_s} s after the request for the standing stream",
        what="""
            The response head of a stream that may stay silent waited for the first byte of its
            body, or for a timer.
        """,
        why="""
            A client is blocked while it waits for the response head. Clients of MCP hang before
            they list the tools, for exactly a minute or until a gateway answers 502.
        """,
        detection="""
            `undam check --mcp` initializes a session and requests the standing stream with GET. The
            response head took longer than a second, or did not arrive within the time limit.
            Silence after the head is normal and is not reported.
        """,
        causes="""
            A server or an SDK that sends the head with the first event; an HTTP/2 proxy or a load
            balancer that waits for the first DATA frame; a proxy that buffers.
        """,
        fix="""
            Let the server send a comment right after the head, which also makes hops forward the
            head. Readers that follow the standard ignore comments.

                : ping

            In nginx, turn buffering off in the location of the server:

                proxy_buffering off;
                proxy_http_version 1.1;
        """,
        source="modelcontextprotocol/go-sdk#937; MCP specification 2025-06-18, Streamable HTTP.",
    ),
    Rule(
        code="UD619",
        slug="no-standing-stream",
        severity=Severity.INFO,
        message="the server offers no standing stream (405), which MCP allows",
        what="""
            The server answered the GET request for a standing stream with 405 Method Not Allowed.
        """,
        why="""
            The missing stream does no harm in itself, but the server can send notifications only
            within the response to a request of the client.
        """,
        detection="""
            `undam check --mcp` sends a GET request with the session ID of its initialize request.
            The server answered this GET request with the status 405.
        """,
        fix="""
            No change is needed, unless the server should send notifications. To send notifications,
            let the server answer GET with an event stream.
        """,
    ),
    Rule(
        code="UD620",
        slug="standing-stream-cut",
        severity=Severity.WARNING,
        message="the standing stream ended {after_s} s after its head, {how}",
        what="A stream that should stay open until the session ends was closed.",
        why="""
            The client must open the stream again. Notifications that the server sends in the
            meantime are lost, unless it replays them by Last-Event-ID.
        """,
        detection="""
            `undam check --mcp` keeps the stream open for 20 s, or for the time given with --idle,
            and reports a stream that ends earlier.
        """,
        causes="""
            An idle limit of a proxy or a load balancer (60 s is the most common), or a server that
            closes streams without messages.
        """,
        fix="""
            Let the server send a comment every 15 s, which keeps any common idle limit from
            expiring:

                : ping

            Alternatively, raise the idle limit of the hop. undam names hops whose default limit
            matches the time.
        """,
    ),
)
