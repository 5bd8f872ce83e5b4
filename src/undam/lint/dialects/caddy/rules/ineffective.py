"""CAD201-CAD202: lines that look like a fix but have no effect on streams."""

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
        A positive `flush_interval` sets how often responses of a known length are flushed. For
        event streams and all other responses without a Content-Length, Caddy ignores the interval
        and flushes after each write.
    """,
    why="""
        An ineffective flush setting suggests that this proxy holds the stream, so the real cause
        may be overlooked.
    """,
    detection="A reverse_proxy that streams has a positive `flush_interval`.",
    measured="""
        Caddy 2.6.2, with 200 events sent 5 ms apart: each read returned one event with a
        `flush_interval` of 200 ms or 5 s, and without the option.
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
    why="If Caddy holds the stream, X-Accel-Buffering does not change that.",
    detection="""
        `header`, `header_up` or `header_down` sets X-Accel-Buffering for a streaming route that is
        proxied.
    """,
    measured="""
        Caddy 2.6.2 with `buffer_responses` held a stream until its end, although X-Accel-Buffering
        was set.
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
    """Find the lines of a route that have no effect on its streams."""
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
