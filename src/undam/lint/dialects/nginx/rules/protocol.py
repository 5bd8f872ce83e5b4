"""NGX110-NGX112: how nginx speaks to its neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.marks import told
from undam.lint.dialects.nginx.routes import Route
from undam.lint.settings import Settings
from undam.rules import Severity

HTTP_10 = ConfigRule(
    code="NGX110",
    slug="old-http-upstream",
    severity=Severity.WARNING,
    message=(
        "proxy_http_version 1.0: when the origin dies in mid-stream, the client sees a clean end"
    ),
    safety=Safety.UNSAFE,
    what="This line asks for HTTP/1.0 to the upstream. Such a body ends with its connection.",
    why="""
        nginx cannot tell an end from a crash of the origin, and ends its own response properly: a
        truncated answer looks complete. Each request also costs a new connection.
    """,
    detection="""
        `proxy_http_version 1.0` stands in force on a route that streams. (It is also the default
        before 1.29.7, of which this rule is silent.)
    """,
    measured="""
        nginx 1.22.1, an origin that drops the connection in mid-stream: over 1.0 the client sees a
        clean end, over 1.1 a truncated chunked body, which every HTTP client reports.
    """,
    fix="""
        Unsafe, since the protocol changes for everything in the location; test it there:
            proxy_http_version 1.1;
    """,
    source="measured on loopback with nginx 1.22.1; RFC 9112, 8; nginx.org, ngx_http_proxy_module",
)
CLIENT_ABORT = ConfigRule(
    code="NGX111",
    slug="client-abort-ignored",
    severity=Severity.WARNING,
    message="{directive} is on: the origin goes on generating for readers who have left",
    safety=Safety.UNSAFE,
    what="""
        When a client closes its connection nginx closes the one to the upstream, too; with this
        line it does not.
    """,
    why="Nobody reads what the model still generates, and it takes the place of others.",
    detection="The directive is on, on a route that streams.",
    measured="""
        nginx 1.22.1: without the line the origin sees the client leave within 2 ms, also in
        silence; with it, not before its answer is over.
    """,
    fix="""
        Unsafe, since whoever stores answers for a later resume may want them whole:
            proxy_ignore_client_abort off;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module",
)
ACCEL_HIDDEN = ConfigRule(
    code="NGX112",
    slug="x-accel-buffering-hidden",
    severity=Severity.INFO,
    message="proxy_hide_header X-Accel-Buffering keeps the header from the next nginx further out",
    safety=Safety.SAFE,
    what="nginx takes X-Accel-Buffering off the response anyway; this line says so once more.",
    why="""
        Alone, not at all. With a second nginx further out, that one never learns that it must not
        buffer, and the origin's header seems not to work.
    """,
    detection="proxy_hide_header names X-Accel-Buffering on a route that streams.",
    measured="""
        Two nginx 1.22.1, an origin that sends the header: the inner eats it, the outer holds the
        first event for 1626 ms; with the fix and buffering off at the inner one, 0.1 ms.
    """,
    fix="""
        Safe, in the place of the line: it only hands the header on.
            proxy_pass_header X-Accel-Buffering;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, "
        "proxy_pass_header"
    ),
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
