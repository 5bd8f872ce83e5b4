"""Knob 4 and its look-alike: which of haproxy's timeouts end a silent stream, and which do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.configs.edit import Edit
from undam.configs.found import found_at
from undam.configs.haproxy.buffering import line_in
from undam.configs.haproxy.catalogue import SERVER_TIMEOUT, TUNNEL_TIMEOUT
from undam.configs.haproxy.reader import Directive, Word
from undam.configs.haproxy.routes import Route
from undam.configs.mistake import Mistake
from undam.configs.source import Source

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


def find_limits(route: Route, source: Source, heartbeat_s: float) -> Iterator[Mistake]:
    """Limits of silence below two heartbeats, and the tunnel's, which is none of a stream."""
    server = route.back.nearest("timeout", "server")
    limit_s = _limit_of(server, 2)
    if server is not None and limit_s is not None and limit_s < 2 * heartbeat_s:
        if server in route.back.lines:
            edit = _replaced(server.words[2])
        else:
            edit = line_in(source, route.back, f"timeout server {LONG}", beside=("timeout", "mode"))
        yield _short(source, server, server.words[2], edit, heartbeat_s)
    for side in route.sides:
        for line in side.inherited("http-request", "set-timeout", "server"):
            own_s = _limit_of(line, 3)
            if own_s is not None and own_s < 2 * heartbeat_s:
                word = line.words[3]
                yield _short(source, line, word, _replaced(word), heartbeat_s)
    yield from _tunnel(route, source, server)


def _tunnel(route: Route, source: Source, server: Directive | None) -> Iterator[Mistake]:
    tunnel = route.back.nearest("timeout", "tunnel")
    limit_s, tunnel_s = _limit_of(server, 2), _limit_of(tunnel, 2)
    if server is None or tunnel is None or limit_s is None or tunnel_s is None:
        return
    if limit_s < tunnel_s:
        yield found_at(
            TUNNEL_TIMEOUT,
            source,
            (tunnel.start, tunnel.end),
            tunnel=tunnel.texts[2],
            server=server.texts[2],
        )


def _short(source: Source, line: Directive, word: Word, edit: Edit, heartbeat_s: float) -> Mistake:
    span = (line.start, word.end)
    return found_at(
        SERVER_TIMEOUT, source, span, edit, limit=_written(word.text), heartbeat=heartbeat_s
    )


def _written(text: str) -> str:
    return f"{text} ms" if text.isdecimal() else text


def _replaced(word: Word) -> Edit:
    return Edit(word.start, word.end, LONG)


def _limit_of(line: Directive | None, at: int) -> float | None:
    if line is None or len(line.words) <= at:
        return None
    return seconds_of(line.texts[at])
