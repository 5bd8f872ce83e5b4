"""Rule LTD201: a header that looks like a fix but has no effect in lighttpd."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.lighttpd.parser import LighttpdConfig
from undam.lint.dialects.lighttpd.routes import LighttpdRoute, effective
from undam.rules import Severity

ACCEL_HEADER = ConfigRule(
    code="LTD201",
    slug="x-accel-header-in-lighttpd",
    severity=Severity.INFO,
    message=(
        "X-Accel-Buffering has no effect in lighttpd; only an nginx closer to the client reads it"
    ),
    safety=Safety.NONE,
    what="""
        `X-Accel-Buffering: no` turns buffering off in nginx and in programs based on nginx.
        lighttpd forwards the header without acting on it.
    """,
    why="lighttpd holds the whole response, with or without `X-Accel-Buffering`.",
    detection="`mod_setenv` adds or sets `X-Accel-Buffering` on a proxied streaming route.",
    measured="lighttpd 1.4.69 held a response with the added header until the response ended.",
    fix="""
        Keep the header if an nginx is closer to the client; otherwise remove it. To stop lighttpd
        itself from buffering, set:

            server.stream-response-body = 1
    """,
    source="measured on loopback with lighttpd 1.4.69",
)

RULES = (ACCEL_HEADER,)

_SETTINGS = ("setenv.add-response-header", "setenv.set-response-header")


def find(route: LighttpdRoute, config: LighttpdConfig) -> Iterator[Diagnostic]:
    """Find X-Accel-Buffering among the headers that a route sets."""
    for name in _SETTINGS:
        assignment = effective(config, name, route.relay)
        if assignment is None:
            continue
        for token in assignment.value:
            if token.text.lower() == "x-accel-buffering":
                yield diagnostic_at(ACCEL_HEADER, assignment.source, token.span)
