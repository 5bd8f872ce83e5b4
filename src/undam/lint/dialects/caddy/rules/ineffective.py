"""Rules CAD201-CAD202: lines that look like a fix but do not affect streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.caddy.parser import CaddyDirective, delete_directive, duration_s
from undam.lint.dialects.caddy.routes import CaddyRoute
from undam.rules import Severity

FLUSH_INTERVAL = ConfigRule(
    code="CAD201",
    slug="flush-interval-in-vain",
    severity=Severity.INFO,
    message="flush_interval {value} has no effect on streams: Caddy flushes each event anyway",
    safety=Safety.SAFE,
    what="""
        A positive `flush_interval` sets how often Caddy flushes responses that have a
        Content-Length. For event streams and all other responses without a Content-Length, Caddy
        ignores the interval and flushes after each write.
    """,
    why="""
        The setting suggests that this proxy would hold the stream without it. The real cause of a
        delay may therefore be overlooked.
    """,
    detection="The `reverse_proxy` of a streaming route has a positive `flush_interval`.",
    measured="""
        Caddy 2.6.2, with 200 events sent 5 ms apart: each read returned one event, whether
        `flush_interval` was 200 ms, 5 s or not set.
    """,
    fix="""
        Remove the `flush_interval` line.

            reverse_proxy 127.0.0.1:9000
    """,
    source="measured on loopback with Caddy 2.6.2; caddyserver.com, reverse_proxy, flush_interval",
)

ACCEL_HEADER = ConfigRule(
    code="CAD202",
    slug="x-accel-header-in-caddy",
    severity=Severity.INFO,
    message="X-Accel-Buffering has no effect in Caddy; only an nginx closer to the client reads it",
    safety=Safety.NONE,
    what="""
        `X-Accel-Buffering: no` disables buffering in nginx and in programs built on nginx. Caddy
        forwards X-Accel-Buffering but does not act on it.
    """,
    why="If Caddy holds the stream, X-Accel-Buffering does not release it.",
    detection="""
        `header`, `header_up` or `header_down` sets X-Accel-Buffering for a proxied streaming route.
    """,
    measured="""
        Caddy 2.6.2 with `buffer_responses` held a stream until the stream ended, although
        X-Accel-Buffering was set.
    """,
    fix="""
        Keep the X-Accel-Buffering line only if there is an nginx between this proxy and the client;
        otherwise remove it. Caddy itself needs no setting to stream:

            reverse_proxy 127.0.0.1:9000
    """,
    source="measured on loopback with Caddy 2.6.2",
)

RULES = (FLUSH_INTERVAL, ACCEL_HEADER)

_ACCEL = "x-accel-buffering"


def find(route: CaddyRoute) -> Iterator[Diagnostic]:
    """Find directives on a route that were meant to affect its streams but do not."""
    relay = route.relay
    for option in relay.inside("flush_interval"):
        value = "".join(option.texts[:1])
        if (duration_s(value) or 0) > 0:
            edits = delete_directive(option)
            yield diagnostic_at(FLUSH_INTERVAL, option.source, option.span, *edits, value=value)
    for directive in (*relay.inside("header_up", "header_down"), *route.around):
        if directive.name.startswith("header"):
            yield from _find_accel_headers(directive)


def _find_accel_headers(header: CaddyDirective) -> Iterator[Diagnostic]:
    for line in (header, *(header.block or ())):
        for word in line.words[:3]:
            if word.text.lower().lstrip("+>?") == _ACCEL:
                yield diagnostic_at(ACCEL_HEADER, line.source, word.span)
