"""What is looked for at each route that streams."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.caddy.catalogue import (
    ACCEL_HEADER,
    BUFFERED,
    ENCODED,
    FLUSH_INTERVAL,
    READ_TIMEOUT,
    WRITE_TIMEOUT,
)
from undam.lint.dialects.caddy.reader import Directive
from undam.lint.dialects.caddy.routes import Config, Route
from undam.lint.limits import idle_limit_severity, total_limit_severity
from undam.textfiles.edits import Edit, delete_line, line_ending

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h|d)")
_ACCEL = "x-accel-buffering"
_EVENT_STREAM = "text/event-stream"
_TYPES = ("text/html*", "text/css*", "application/javascript*", "application/json*")


def find_on_route(route: Route, heartbeat_s: float) -> Iterator[Diagnostic]:
    """Every mistake on a route."""
    relay = route.relay
    for one in relay.inside("buffer_responses", "response_buffers"):
        yield diagnostic_at(BUFFERED, one.source, one.span, *_removed(one), name=one.name)
    for one in relay.inside("flush_interval"):
        value = "".join(one.texts[:1])
        if (duration_s(value) or 0) > 0:
            yield diagnostic_at(FLUSH_INTERVAL, one.source, one.span, *_removed(one), value=value)
    for transport in relay.inside("transport"):
        for one in transport.inside("read_timeout"):
            limit = duration_s("".join(one.texts[:1])) or 0
            severity = idle_limit_severity(limit, heartbeat_s)
            if severity is not None:
                word = one.words[1]
                yield diagnostic_at(
                    READ_TIMEOUT,
                    one.source,
                    (word.start, word.end),
                    Edit(word.start, word.end, "1h"),
                    severity=severity,
                    limit=limit,
                    heartbeat=heartbeat_s,
                )
    for one in (*relay.inside("header_up", "header_down"), *route.around):
        if one.name == "encode" and _takes_streams(one):
            yield diagnostic_at(ENCODED, one.source, one.span, *_narrowed(one))
        elif one.name.startswith("header"):
            yield from _headers(one)


def find_global(config: Config) -> Iterator[Diagnostic]:
    """Limits of the servers, which hold for every route."""
    for servers in config.globals:
        if servers.name != "servers":
            continue
        for timeouts in servers.inside("timeouts"):
            for one in timeouts.inside("write"):
                limit = duration_s("".join(one.texts[:1])) or 0
                severity = total_limit_severity(limit)
                if severity is not None:
                    yield diagnostic_at(
                        WRITE_TIMEOUT,
                        one.source,
                        one.span,
                        *_removed(one),
                        severity=severity,
                        limit=limit,
                    )


def duration_s(text: str) -> float | None:
    """A duration as Go and Caddy write it; ``None`` for what is none, or a placeholder."""
    parts = _PART.findall(text[:64])
    if text.removeprefix("-") == "0":
        return 0.0
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _headers(one: Directive) -> Iterator[Diagnostic]:
    lines = [one, *(one.block or ())]
    for line in lines:
        for word in line.words[:3]:
            if word.text.lower().lstrip("+>?") == _ACCEL:
                yield diagnostic_at(ACCEL_HEADER, line.source, (word.start, word.end))


def _takes_streams(encode: Directive) -> bool:
    formats = [text for text in encode.texts if not text.startswith(("/", "@", "*"))]
    inner = [one.name for one in encode.inside("gzip", "zstd", "br")]
    matches = list(encode.inside("match"))
    if not matches:
        return bool(formats or inner) or not encode.texts
    tests = [(one.words[1:] if one.name == "match" else one.words) for one in _tests(matches)]
    words = [tuple(word.text.lower() for word in test) for test in tests]
    return any(
        test[:2] == ("header", "content-type")
        and any(_fits(pattern, _EVENT_STREAM) for pattern in test[2:])
        for test in words
    )


def _tests(matches: list[Directive]) -> Iterator[Directive]:
    for one in matches:
        yield one
        yield from one.block or ()


def _fits(pattern: str, text: str) -> bool:
    return text.startswith(pattern.rstrip("*")) if pattern.endswith("*") else pattern == text


def _narrowed(encode: Directive) -> list[Edit]:
    """Give an encode that takes all types a list of its own."""
    if encode.block is not None or encode.source.text[encode.start : encode.words[-1].end].count(
        "\n"
    ):
        return []
    source, end = encode.source, line_ending(encode.source)
    indent = source.indent_at(encode.start)
    step = "\t" if "\t" in indent else "    "
    types = "".join(f"{indent}{step * 2}header Content-Type {one}{end}" for one in _TYPES)
    block = f" {{{end}{indent}{step}match {{{end}{types}{indent}{step}}}{end}{indent}}}"
    at = encode.words[-1].end
    return [Edit(at, at, block)]


def _removed(one: Directive) -> list[Edit]:
    """Its line, where nothing else stands on it."""
    start, end = one.source.line_span(one.start)
    alone = one.source.text[start : one.start].strip() == "" and one.block is None
    rest = one.source.text[one.words[-1].end : end].strip()
    is_whole = alone and one.words[-1].end <= end and rest[:1] in {"", "#"}
    return [delete_line(one.source, one.start)] if is_whole else []
