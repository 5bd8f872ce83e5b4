"""Rule CAD101: `reverse_proxy` options that buffer the response."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.caddy.parser import delete_directive
from undam.lint.dialects.caddy.routes import CaddyRoute
from undam.rules import Severity

BUFFERED = ConfigRule(
    code="CAD101",
    slug="responses-buffered",
    severity=Severity.ERROR,
    message="{name} holds the response of a streaming route",
    safety=Safety.SAFE,
    what="""
        With `buffer_responses`, Caddy reads the whole response before it sends the first byte.
        Caddy 2.8 and later reject `buffer_responses` as unknown. `response_buffers SIZE`, available
        since Caddy 2.7, holds a response until SIZE bytes have arrived or the response ends.
    """,
    why="""
        The first token arrives together with the last one, and heartbeats are held as well.
        `flush_interval -1` in the same block does not prevent the buffering.
    """,
    detection="""
        `buffer_responses` or `response_buffers` is set in the `reverse_proxy` of a streaming route.
    """,
    measured="""
        Caddy 2.6.2 with `buffer_responses` and 200 events sent 5 ms apart: all events arrived in
        one read after 1.0 s, with and without `flush_interval -1`. Without `buffer_responses`, each
        read returned one event. Caddy 2.11.7 with `response_buffers 1MiB` held 60 events until the
        end of the stream.
    """,
    fix="""
        Remove the option; Caddy streams by default.

            reverse_proxy 127.0.0.1:9000
    """,
    source="measured on loopback with Caddy 2.6.2 and 2.11.7; caddyserver.com, reverse_proxy",
)

RULES = (BUFFERED,)


def find(route: CaddyRoute) -> Iterator[Diagnostic]:
    """Find options that buffer the response on a route."""
    for option in route.relay.inside("buffer_responses", "response_buffers"):
        edits = delete_directive(option)
        yield diagnostic_at(BUFFERED, option.source, option.span, *edits, name=option.name)
