"""NGX401-NGX402: limits that end a stream which is only slow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.marks import told
from undam.lint.dialects.nginx.routes import Route
from undam.lint.settings import Settings
from undam.rules import Severity

READ_TIMEOUT = ConfigRule(
    code="NGX401",
    slug="read-timeout-near-heartbeat",
    severity=Severity.WARNING,
    message=(
        "{directive} is {limit} s: a silence of that length ends the stream, "
        "and heartbeats come each {heartbeat} s"
    ),
    safety=Safety.SAFE,
    what="nginx ends a response when the upstream has sent nothing for this long.",
    why="""
        A long prefill or a tool call is silent for a minute and more. With buffering over HTTP/1.0
        the cut also throws away the tokens that were already received.
    """,
    detection="""
        The limit in force on a route that streams, 60 s by default, is not above twice the
        heartbeat interval (setting `heartbeat`, 15 s by default): one late heartbeat is then fatal.
    """,
    measured="""
        nginx 1.22.1: a silent stream was cut after 60.06 s; a comment each second kept it alive.
    """,
    fix="""
        Safe, in the location that streams:
            proxy_read_timeout 3600s;
        An origin that dies closes its connection and is noticed at once; one whose machine vanishes
        is noticed after this limit. Heartbeats from the origin let the limit be short.
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, "
        "proxy_read_timeout"
    ),
)
SEND_TIMEOUT = ConfigRule(
    code="NGX402",
    slug="short-send-timeout",
    severity=Severity.INFO,
    message="send_timeout {limit} s: a reader that stalls for so long loses its stream",
    safety=Safety.UNSAFE,
    what="""
        nginx drops a client that takes nothing for this long while something waits to be sent.
    """,
    why="""
        A phone that changes its network, or a page that is busy, takes nothing for some seconds,
        and then finds its answer broken off. Heartbeats do not help; they wait as well.
    """,
    detection="""
        Send_timeout is set to 10 s or less on a route that streams; the default is 60 s.
    """,
    measured="""
        nginx 1.22.1 with `send_timeout 2s`: a reader that paused for 4 s in a long stream got a
        truncated one; with 60 s the whole.
    """,
    fix="""
        Unsafe, since the limit also guards against clients that never read:
            send_timeout 60s;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_core_module, send_timeout",
)

RULES = (READ_TIMEOUT, SEND_TIMEOUT)

_SHORT_SEND_S = 10.0
_TIME = re.compile(r"(\d{1,12})(ms|[yMwdhms])?\s*")
_UNIT_S = {
    "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400,
    "w": 604800, "M": 2592000, "y": 31536000,
}  # fmt: skip


def find(route: Route, settings: Settings) -> Iterator[Diagnostic]:
    """At most one of each."""
    directive = f"{route.protocol}_read_timeout"
    limit = _seconds(route.scope.value(directive, "60s"))
    if limit is not None and limit <= 2 * settings.heartbeat_s:
        yield told(
            READ_TIMEOUT,
            route.set_value(directive, "3600s"),
            directive=directive,
            limit=f"{limit:g}",
            heartbeat=f"{settings.heartbeat_s:g}",
        )
    sending = _seconds(route.scope.value("send_timeout", "60s"))
    if sending is not None and sending <= _SHORT_SEND_S:
        yield told(SEND_TIMEOUT, route.set_value("send_timeout", "60s"), limit=f"{sending:g}")


def _seconds(value: str) -> float | None:
    """A time as nginx writes it (`60`, `1m30s`, `1h 30m`); ``None`` for anything else."""
    at, total = 0, 0.0
    while at < len(value):
        part = _TIME.match(value, at)
        if part is None:
            return None
        total += int(part[1]) * _UNIT_S[part[2] or "s"]
        at = part.end()
    return total if value else None
