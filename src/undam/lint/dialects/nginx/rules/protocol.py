"""Rules NGX110-NGX112: communication of nginx with its upstream and with downstream hops."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.routes import NginxRoute, Placement
from undam.rules import Severity

HTTP_10 = ConfigRule(
    code="NGX110",
    slug="old-http-upstream",
    severity=Severity.WARNING,
    message=(
        "proxy_http_version 1.0: if the origin crashes during a stream, the response to the client "
        "still ends normally"
    ),
    safety=Safety.UNSAFE,
    what="""
        `proxy_http_version 1.0` makes nginx use HTTP/1.0 to the upstream. Over HTTP/1.0, a body
        ends when the connection is closed.
    """,
    why="""
        nginx cannot distinguish the end of a response from a crash of the origin. After a crash,
        nginx ends its own response normally, so a truncated answer looks complete. Over HTTP/1.0,
        each request also needs a new connection to the upstream.
    """,
    detection="""
        `proxy_http_version 1.0` is in force on a streaming route. HTTP/1.0 is also the default
        before nginx 1.29.7, but this rule does not report the default.
    """,
    measured="""
        nginx 1.22.1 with an origin that dropped the connection during a stream: over HTTP/1.0, the
        response to the client ended normally. Over HTTP/1.1, the client received a truncated
        chunked body, which every HTTP client reports as an error.
    """,
    fix="""
        Use HTTP/1.1 to the upstream. The change affects all requests to the location, so test the
        whole location.

            proxy_http_version 1.1;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; RFC 9112, section 8; "
        "nginx.org, ngx_http_proxy_module"
    ),
)
CLIENT_ABORT = ConfigRule(
    code="NGX111",
    slug="client-abort-ignored",
    severity=Severity.WARNING,
    message="{directive} is on: the origin continues to generate after the client disconnects",
    safety=Safety.UNSAFE,
    what="""
        When a client closes its connection, nginx normally closes its connection to the upstream as
        well. With `proxy_ignore_client_abort on`, or its equivalent for another protocol, nginx
        keeps the upstream connection open.
    """,
    why="The model generates tokens that nobody reads and uses capacity that other requests need.",
    detection="""
        `proxy_ignore_client_abort`, or its equivalent for another protocol, is on for a streaming
        route.
    """,
    measured="""
        nginx 1.22.1: without `proxy_ignore_client_abort on`, the origin detected a disconnect
        within 2 ms, even during silence. With the directive, the origin detected it only after its
        response had ended.
    """,
    fix="""
        Turn `proxy_ignore_client_abort` off, unless the application stores answers for a later
        resume.

            proxy_ignore_client_abort off;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module",
)
ACCEL_HIDDEN = ConfigRule(
    code="NGX112",
    slug="x-accel-buffering-hidden",
    severity=Severity.INFO,
    message=(
        "proxy_hide_header X-Accel-Buffering hides the header from an nginx closer to the client"
    ),
    safety=Safety.SAFE,
    what="""
        nginx removes `X-Accel-Buffering` from the response by default, so `proxy_hide_header` only
        repeats the default.
    """,
    why="""
        With a single nginx, hiding the header has no effect. A second nginx closer to the client
        does not receive the header and therefore buffers the stream. The origin's header then seems
        to have no effect.
    """,
    detection="A streaming route has `proxy_hide_header X-Accel-Buffering`.",
    measured="""
        Tested with two nginx 1.22.1 servers and an origin that sends `X-Accel-Buffering`. The
        inner nginx removed the header, so the outer nginx held the first event for 1626 ms. With
        `proxy_pass_header`, and with buffering off at the inner nginx, the first event was 0.1 ms
        late.
    """,
    fix="""
        Let nginx forward `X-Accel-Buffering` instead.

            proxy_pass_header X-Accel-Buffering;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, "
        "proxy_pass_header"
    ),
)

RULES = (HTTP_10, CLIENT_ABORT, ACCEL_HIDDEN)

_ACCEL = "x-accel-buffering"


def find(route: NginxRoute) -> Iterator[Diagnostic]:
    """Find protocol settings that harm streams. Several may apply to the same route."""
    scope = route.scope
    abort = f"{route.protocol}_ignore_client_abort"
    if scope.is_on(abort, default=False):
        yield route.set_value(abort, "off").diagnostic(CLIENT_ABORT, directive=abort)
    if route.protocol != "proxy":
        return
    if scope.value("proxy_http_version", "") == "1.0":
        yield route.set_value("proxy_http_version", "1.1").diagnostic(HTTP_10)
    for one in scope.own("proxy_hide_header"):
        if one.value.lower() == _ACCEL:
            outside = scope.parent.in_force("proxy_pass_header") if scope.parent else []
            can_change = scope.can_remove(one) and (
                not outside or bool(scope.own("proxy_pass_header"))
            )
            passed = one.replace("proxy_pass_header X-Accel-Buffering;")
            yield Placement(one, passed if can_change else None).diagnostic(ACCEL_HIDDEN)
