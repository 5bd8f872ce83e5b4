"""Rule HAP201: a timeout that looks like a fix but does not affect event streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.haproxy.parser import seconds_in
from undam.lint.dialects.haproxy.routes import HaproxyRoute
from undam.rules import Severity
from undam.textfiles.source import Source

TUNNEL_TIMEOUT = ConfigRule(
    code="HAP201",
    slug="tunnel-timeout-for-a-stream",
    severity=Severity.INFO,
    message=(
        "'timeout tunnel {tunnel}' has no effect on event streams: they are cut after {server} of "
        "silence (timeout server)"
    ),
    safety=Safety.NONE,
    what="""
        `timeout tunnel` applies to upgraded connections (WebSocket, CONNECT). An event stream is an
        ordinary response, so `timeout server` limits its silences.
    """,
    why="""
        The sample configuration sets `timeout server` to 50 s. With this limit, a stream is cut
        after 50 s of silence, even if `timeout tunnel` is one hour.
    """,
    detection="""
        On a streaming route, `timeout tunnel` is longer than `timeout server`. The severity is
        info, because the line is correct for WebSockets on the same route.
    """,
    measured="""
        haproxy 2.6.12 with `timeout server 2s` and `timeout tunnel 1h` cut a stream during a
        silence of 4.5 s. With `timeout tunnel 2s` and a long `timeout server`, the stream was not
        cut.
    """,
    fix="""
        Raise `timeout server`, or send heartbeats.

            timeout server 1h
    """,
    source="measured on loopback with haproxy 2.6.12; configuration manual, timeout tunnel",
)

RULES = (TUNNEL_TIMEOUT,)


def find(route: HaproxyRoute, source: Source) -> Iterator[Diagnostic]:
    """Find a tunnel timeout that exceeds the server timeout on a route."""
    server = route.back.nearest("timeout", "server")
    tunnel = route.back.nearest("timeout", "tunnel")
    server_s, tunnel_s = seconds_in(server, 2), seconds_in(tunnel, 2)
    if server is None or tunnel is None or server_s is None or tunnel_s is None:
        return
    if server_s < tunnel_s:
        yield diagnostic_at(
            TUNNEL_TIMEOUT, source, tunnel.span, tunnel=tunnel.texts[2], server=server.texts[2]
        )
