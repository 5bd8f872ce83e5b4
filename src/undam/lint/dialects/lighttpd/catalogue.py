"""The rules of lighttpd.conf, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with lighttpd 1.4.69"

HELD = ConfigRule(
    code="LTD101",
    slug="response-body-not-streamed",
    severity=Severity.ERROR,
    message="lighttpd holds the whole response: {what}",
    safety=Safety.SAFE,
    what="""
        With `server.stream-response-body = 0`, which is the default, lighttpd collects the whole
        response of a backend before it sends the first byte, and adds a Content-Length.
    """,
    why="""
        The first token comes with the last one; heartbeats are held, too; a stream that the origin
        broke off looks complete; and the origin never learns that the client has left.
    """,
    detection="""
        `proxy.server` (or fastcgi, scgi, uwsgi, ajp13) on a route that streams, where neither its
        own conditions nor the file's outside set the directive to 1 or 2.
    """,
    measured="""
        lighttpd 1.4.69, 120 events 25 ms apart: all came after 3.0 s; with 1 or 2 the first was 0.1
        ms late. `X-Accel-Buffering` and mod_deflate change nothing of either.
    """,
    fix="""
        Safe; it stands under the conditions of the streaming route alone. A `proxy.server` outside
        of any condition that serves all paths gets it for all of them.
            server.stream-response-body = 1
    """,
    source=_MEASURED + "; redmine.lighttpd.net, Server_stream-response-bodyDetails",
)

ACCEL_HEADER = ConfigRule(
    code="LTD201",
    slug="x-accel-header-in-lighttpd",
    severity=Severity.INFO,
    message="X-Accel-Buffering does nothing in lighttpd; only an nginx further out reads it",
    safety=Safety.NONE,
    what="""
        The header tells nginx, and what is built on it, not to buffer. lighttpd passes it on
        unread.
    """,
    why="Who adds it to free a stream still has the dam: lighttpd holds the whole response.",
    detection="Mod_setenv adds or sets the header where a streaming route is relayed.",
    measured="lighttpd 1.4.69 with the header added to the response held it to the end.",
    fix="""
        None is made, for it is right where an nginx stands further out. For lighttpd itself:
            server.stream-response-body = 1
    """,
    source=_MEASURED,
)

WRITE_IDLE = ConfigRule(
    code="LTD401",
    slug="short-max-write-idle",
    severity=Severity.WARNING,
    message=(
        "a stream that is silent for {limit} s is cut: less than two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        `server.max-write-idle` (360 s by default) ends a response of which nothing was written for
        so long; for a stream that is any silence of the origin.
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent, and the client gets a
        truncated stream. One heartbeat that is lost or late must not be enough for that.
    """,
    detection="""
        The limit that holds on a streaming route is below twice the heartbeat interval of the
        settings (15 s unless they say otherwise); an error if it is no longer than one interval.
    """,
    measured="""
        lighttpd 1.4.69 with a limit of 2 s cut a stream in a silence of 4.5 s; a comment each 0.5 s
        kept it alive. `server.max-read-idle` did not cut it.
    """,
    fix="""
        An hour, under the conditions of the streaming route. Unsafe: a client that stopped reading
        keeps its connection for as long.
            server.max-write-idle = 3600
    """,
    source=_MEASURED + "; redmine.lighttpd.net, Docs_ResourceTuning",
)

READ_TIMEOUT = ConfigRule(
    code="LTD402",
    slug="short-backend-read-timeout",
    severity=Severity.WARNING,
    message=(
        "a backend that is silent for {limit} s is given up: less than two heartbeats of "
        "{heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        "read-timeout" of a server in `proxy.server` ends a response whose backend is silent for so
        long. Without it there is no such limit.
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent, and the client gets a
        truncated stream. One heartbeat that is lost or late must not be enough for that.
    """,
    detection="""
        The timeout of a server on a streaming route is below twice the heartbeat interval of the
        settings (15 s unless they say otherwise); an error if it is no longer than one interval.
    """,
    measured="""
        lighttpd 1.4.69 with a timeout of 2 s cut a stream in a silence of 4.5 s; a comment each 0.5
        s kept it alive. "write-timeout" did not cut it.
    """,
    fix="""
        An hour. Unsafe: a dead backend is noticed as late as that.
            "read-timeout" => 3600
    """,
    source=_MEASURED + "; redmine.lighttpd.net, Docs_ModProxy",
)

RULES = (HELD, ACCEL_HEADER, WRITE_IDLE, READ_TIMEOUT)
