"""Knob 4 and its look-alike: which of haproxy's timeouts end a silent stream, and which do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.haproxy.buffering import line_in
from undam.lint.dialects.haproxy.catalogue import SERVER_TIMEOUT, TUNNEL_TIMEOUT
from undam.lint.dialects.haproxy.reader import Directive
from undam.lint.dialects.haproxy.routes import Route
from undam.lint.limits import idle_limit_severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source

_TIME = re.compile(r"(\d{1,12})(us|ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

LONG = "1h"


def seconds_of(text: str) -> float | None:
    """A time of haproxy.cfg (configuration manual, 2.5), milliseconds without a unit; ``None``
    where it is none, and for 0, which sets no limit."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    return int(found[1]) * _SECONDS[found[2] or "ms"] or None


def find_limits(route: Route, source: Source, heartbeat_s: float) -> Iterator[Diagnostic]:
    """Limits of silence below two heartbeats, and the tunnel's, which is none of a stream."""
    server = route.back.nearest("timeout", "server")
    if server is not None and server in route.back.lines:
        yield from _short(source, server, 2, heartbeat_s)
    elif server is not None:
        text = f"timeout server {LONG}"
        edit = line_in(source, route.back, text, beside=("timeout", "mode"))
        yield from _short(source, server, 2, heartbeat_s, edit)
    for side in route.sides:
        for line in side.inherited("http-request", "set-timeout", "server"):
            yield from _short(source, line, 3, heartbeat_s)
    yield from _tunnel(route, source, server)


def _tunnel(route: Route, source: Source, server: Directive | None) -> Iterator[Diagnostic]:
    tunnel = route.back.nearest("timeout", "tunnel")
    limit_s, tunnel_s = _limit_of(server, 2), _limit_of(tunnel, 2)
    if server is None or tunnel is None or limit_s is None or tunnel_s is None:
        return
    if limit_s < tunnel_s:
        yield diagnostic_at(
            TUNNEL_TIMEOUT,
            source,
            (tunnel.start, tunnel.end),
            tunnel=tunnel.texts[2],
            server=server.texts[2],
        )


def _short(
    source: Source, line: Directive, at: int, heartbeat_s: float, edit: Edit | None = None
) -> Iterator[Diagnostic]:
    """The time that is word ``at`` of a line, if it is too short; ``edit`` in place of a new word
    there."""
    severity = idle_limit_severity(_limit_of(line, at) or 0, heartbeat_s)
    if severity is None:
        return
    word = line.words[at]
    yield diagnostic_at(
        SERVER_TIMEOUT,
        source,
        (line.start, word.end),
        edit or Edit(word.start, word.end, LONG),
        severity=severity,
        limit=_written(word.text),
        heartbeat=heartbeat_s,
    )


def _written(text: str) -> str:
    return f"{text} ms" if text.isdecimal() else text


def _limit_of(line: Directive | None, at: int) -> float | None:
    if line is None or len(line.words) <= at:
        return None
    return seconds_of(line.texts[at])
