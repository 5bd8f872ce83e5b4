"""UD618 and above: standing streams, such as the GET stream of an MCP server."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD618",
        slug="standing-head-held",
        severity=Severity.ERROR,
        message="{what} {waited_s} s after the request for the standing stream",
        what="""
            The response head of a standing stream was delayed until the first byte of the body, or
            until a timer expired.
        """,
        why="""
            A client is blocked while it waits for the response head. MCP clients hang before they
            list the tools, either for exactly a minute or until a gateway answers with a 502.
        """,
        detection="""
            `undam check --mcp` initializes a session and requests the standing stream with GET. The
            response head took longer than a second, or did not arrive within the time limit.
            Silence after the head is normal and is not reported.
        """,
        causes="""
            A server or an SDK sends the head together with the first event. An HTTP/2 proxy or a
            load balancer waits for the first DATA frame. A proxy buffers the response.
        """,
        fix="""
            Let the server send a comment right after the head. The comment also makes hops forward
            the head. Clients that follow the standard ignore comments.

                : ping

            In nginx, turn buffering off in the location of the MCP server:

                proxy_buffering off;
                proxy_http_version 1.1;
        """,
        source="modelcontextprotocol/go-sdk#937; MCP specification 2025-06-18, Streamable HTTP.",
    ),
    Rule(
        code="UD619",
        slug="no-standing-stream",
        severity=Severity.INFO,
        message="the server does not offer a standing stream (405), which MCP allows",
        what="""
            The server answered the GET request for a standing stream with 405 Method Not Allowed.
        """,
        why="""
            The missing stream does no harm by itself. However, the server can send notifications
            only within the response to a client request.
        """,
        detection="""
            `undam check --mcp` sends a GET request with the session ID from the initialize
            exchange. The server answered this GET request with status 405.
        """,
        fix="""
            No change is needed unless the server should send notifications. To send notifications,
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
            The client must reopen the stream. Notifications that the server sends in the meantime
            are lost unless the server replays them by `Last-Event-ID`.
        """,
        detection="""
            `undam check --mcp` keeps the stream open for 20 s, or for the time given with `--idle`.
            A stream that ends earlier is reported. If the server sent `retry` before it closed the
            stream cleanly, it wants clients to poll, and the severity is info.
        """,
        causes="""
            A proxy or a load balancer has an idle limit (most commonly 60 s), or the server closes
            streams without messages.
        """,
        fix="""
            Let the server send a comment every 15 s, so that no common idle limit expires:

                : ping

            Alternatively, raise the idle limit of the hop. undam names the hops whose default limit
            matches the measured time.
        """,
    ),
)
