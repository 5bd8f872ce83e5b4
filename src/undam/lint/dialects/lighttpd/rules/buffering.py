"""Rule LTD101: responses that lighttpd buffers completely."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.lighttpd.parser import LighttpdConfig, number_or_default
from undam.lint.dialects.lighttpd.routes import (
    LighttpdRoute,
    effective,
    set_for_route,
    under_other_conditions,
)
from undam.lint.routes import RouteHints
from undam.rules import Severity

HELD = ConfigRule(
    code="LTD101",
    slug="response-body-not-streamed",
    severity=Severity.ERROR,
    message="lighttpd holds the whole response: {what}",
    safety=Safety.SAFE,
    what="""
        By default (`server.stream-response-body = 0`), lighttpd collects the whole backend response
        before it sends the first byte. It also adds a `Content-Length`.
    """,
    why="""
        The first token arrives together with the last one, and heartbeats are held as well. A
        stream that the origin cut looks complete, and a client disconnect is not passed on to the
        origin.
    """,
    detection="""
        A streaming route uses `proxy.server` (or fastcgi, scgi, uwsgi, ajp13), and
        `server.stream-response-body` is not set to 1 or 2 for the route or globally.
    """,
    measured="""
        lighttpd 1.4.69, 120 events 25 ms apart: all events arrived together after 3.0 s. With a
        value of 1 or 2, the first event was 0.1 ms late. `X-Accel-Buffering` and `mod_deflate` made
        no difference at any value of `server.stream-response-body`.
    """,
    fix="""
        Set `server.stream-response-body` only inside the conditions of the streaming route. If
        `proxy.server` is outside any condition and serves all paths, the directive applies to all
        paths.

            server.stream-response-body = 1
    """,
    source=(
        "measured on loopback with lighttpd 1.4.69; redmine.lighttpd.net, "
        "Server_stream-response-bodyDetails"
    ),
)

RULES = (HELD,)

_STREAM = "server.stream-response-body"


def find(route: LighttpdRoute, config: LighttpdConfig, hints: RouteHints) -> Iterator[Diagnostic]:
    """Report a route if lighttpd buffers its entire response."""
    relay, current = route.relay, effective(config, _STREAM, route.relay)
    if number_or_default(current) != 0:
        return
    others = under_other_conditions(config, _STREAM, relay, hints)
    if any(number_or_default(one) != 0 for one in others):
        return
    change = set_for_route(route, _STREAM, 1, current)
    if current is not None and change.changes_current:
        what = f"{_STREAM} is 0"
        yield diagnostic_at(HELD, current.source, current.span, *change.edits, what=what)
    else:
        what = f"{_STREAM} is not set to 1 for this route"
        yield diagnostic_at(HELD, relay.source, relay.name_span, *change.edits, what=what)
