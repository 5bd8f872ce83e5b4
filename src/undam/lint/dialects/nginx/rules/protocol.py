"""NGX110-NGX112: how nginx speaks to its neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.marks import told
from undam.lint.dialects.nginx.routes import Route
from undam.lint.settings import Settings
from undam.rules import Severity

HTTP_10 = ConfigRule(
    "NGX110",
    "old-http-upstream",
    Severity.WARNING,
    "proxy_http_version 1.0: when the origin dies in mid-stream, the client sees a clean end",
    """\
What: this line asks for HTTP/1.0 to the upstream. Such a body ends with its connection.
Why it hurts: nginx cannot tell an end from a crash of the origin, and ends its own response
properly: a truncated answer looks complete. Each request also costs a new connection.
How it is told: `proxy_http_version 1.0` stands in force on a route that streams. (It is also the
default before 1.29.7, of which this rule is silent.)
Measured: nginx 1.22.1, an origin that drops the connection in mid-stream: over 1.0 the client sees
a clean end, over 1.1 a truncated chunked body, which every HTTP client reports.
Fix, unsafe, since the protocol changes for everything in the location; test it there:
    proxy_http_version 1.1;
""",
    Safety.UNSAFE,
    "measured on loopback with nginx 1.22.1; RFC 9112, 8; nginx.org, ngx_http_proxy_module",
)
CLIENT_ABORT = ConfigRule(
    "NGX111",
    "client-abort-ignored",
    Severity.WARNING,
    "{directive} is on: the origin goes on generating for readers who have left",
    """\
What: when a client closes its connection nginx closes the one to the upstream, too; with this line
it does not.
Why it hurts: nobody reads what the model still generates, and it takes the place of others.
How it is told: the directive is on, on a route that streams.
Measured: nginx 1.22.1: without the line the origin sees the client leave within 2 ms, also in
silence; with it, not before its answer is over.
Fix, unsafe, since whoever stores answers for a later resume may want them whole:
    proxy_ignore_client_abort off;
""",
    Safety.UNSAFE,
    "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module",
)
ACCEL_HIDDEN = ConfigRule(
    "NGX112",
    "x-accel-buffering-hidden",
    Severity.INFO,
    "proxy_hide_header X-Accel-Buffering keeps the header from the next nginx further out",
    """\
What: nginx takes X-Accel-Buffering off the response anyway; this line says so once more.
Why it hurts: alone, not at all. With a second nginx further out, that one never learns that it
must not buffer, and the origin's header seems not to work.
How it is told: proxy_hide_header names X-Accel-Buffering on a route that streams.
Measured: two nginx 1.22.1, an origin that sends the header: the inner eats it, the outer holds the
first event for 1626 ms; with the fix and buffering off at the inner one, 0.1 ms.
Fix, safe, in the place of the line: it only hands the header on.
    proxy_pass_header X-Accel-Buffering;
""",
    Safety.SAFE,
    "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, proxy_pass_header",
)

RULES = (HTTP_10, CLIENT_ABORT, ACCEL_HIDDEN)

_ACCEL = "x-accel-buffering"


def find(route: Route, _settings: Settings) -> Iterator[Diagnostic]:
    """All three go together."""
    scope = route.scope
    abort = f"{route.protocol}_ignore_client_abort"
    if scope.is_on(abort, default=False):
        yield told(CLIENT_ABORT, route.set_value(abort, "off"), directive=abort)
    if route.protocol != "proxy":
        return
    if scope.value("proxy_http_version", "") == "1.0":
        yield told(HTTP_10, route.set_value("proxy_http_version", "1.1"))
    for one in scope.own("proxy_hide_header"):
        if one.value.lower() == _ACCEL:
            outside = scope.parent.in_force("proxy_pass_header") if scope.parent else []
            can_change = scope.can_lose(one) and (
                not outside or bool(scope.own("proxy_pass_header"))
            )
            passed = one.replace("proxy_pass_header X-Accel-Buffering;")
            yield told(ACCEL_HIDDEN, (one, passed if can_change else None))
