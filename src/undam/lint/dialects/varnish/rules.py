"""What is looked for in VCL that streams."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.dialects.varnish.catalogue import (
    BETWEEN_BYTES,
    ESI,
    FIRST_BYTE,
    GZIP,
    NO_STREAM,
    TOO_LATE,
)
from undam.lint.dialects.varnish.reader import Statement, Token, Vcl
from undam.lint.dialects.varnish.routes import EVENT_STREAM, Routes
from undam.lint.limits import idle_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit, line_ending
from undam.textfiles.source import Source, UnreadPart

_FLAGS = {
    "beresp.do_stream": (NO_STREAM, "false", "true"),
    "beresp.do_esi": (ESI, "true", "false"),
    "beresp.do_gzip": (GZIP, "true", "false"),
}
_LIMITS = {"between_bytes_timeout": BETWEEN_BYTES, "first_byte_timeout": FIRST_BYTE}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|[smhdwy])?", re.ASCII)
_SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_LONG = "3600s"


def find_flags(vcl: Vcl, routes: Routes) -> Iterator[Diagnostic]:
    """Flags of the response that hold it, where no later one takes them back."""
    told: dict[str, list[Statement]] = {}
    for one in vcl.statements:
        if one.sub.startswith("vcl_") and one.sub != "vcl_backend_response":
            continue
        if one.texts[0] == "return" and one.sub.startswith("vcl_") and routes.meets(one):
            break  # what follows is not for streams
        name, value = _set(one)
        if name not in _FLAGS or value is None or not routes.meets(one):
            continue
        _, holds, frees = _FLAGS[name]
        if value.text.lower() == frees:
            told.pop(name, None)
        elif value.text.lower() == holds:
            told.setdefault(name, []).append(one)
    for name, held in told.items():
        rule, _, frees = _FLAGS[name]
        for one in held:
            yield _flag(rule, one, routes.is_own(one), frees)


def find_limits(vcl: Vcl, routes: Routes, heartbeat_s: float) -> Iterator[Diagnostic]:
    """Limits of backends and of fetches, and those that are set too late."""
    for name, rule in _LIMITS.items():
        fetches = []
        for one in vcl.statements:
            variable, value = _set(one)
            if variable != f"bereq.{name}" or value is None or not routes.meets(one):
                continue
            if one.sub == "vcl_backend_response":
                word = one.tokens[1]
                span = (word.start, word.end)
                yield diagnostic_at(TOO_LATE, one.source, span, name=variable)
            else:
                fetches.append(value)
                yield from _limit(rule, one.source, value, heartbeat_s)
        if fetches:
            continue
        for backend in vcl.backends:
            limit = backend.attributes.get(f".{name}")
            if limit is not None and routes.streams_through(backend):
                yield from _limit(rule, backend.source, limit, heartbeat_s)


def not_understood(vcl: Vcl, routes: Routes) -> Iterator[UnreadPart]:
    """Flags that a stream may meet, under conditions that say nothing of it."""
    for one in vcl.statements:
        name, value = _set(one)
        holds = _FLAGS[name][1] if name in _FLAGS else None
        if value is not None and value.text.lower() == holds and routes.may_meet(one):
            line = one.source.position(one.start)[0]
            what = f"{name}: a condition around it was not understood"
            yield UnreadPart(one.source.path, line, what)


def _set(one: Statement) -> tuple[str, Token | None]:
    """The variable that a statement sets, and the value if it is one word."""
    texts = one.texts
    if len(texts) != 4 or texts[0] != "set" or texts[2] != "=":
        return "", None
    return texts[1].lower(), one.tokens[3]


def _flag(rule: ConfigRule, one: Statement, is_own: bool, frees: str) -> Diagnostic:
    source, value = one.source, one.tokens[3]
    span = (one.tokens[1].start, value.end)
    if is_own:
        return diagnostic_at(rule, source, span, Edit(value.start, value.end, frees))
    indent, end = source.indent_at(one.start), line_ending(source)
    text = source.text[one.start : one.stop]
    step = "\t" if "\t" in indent else "    "
    wrapped = (
        f'if (beresp.http.Content-Type !~ "{EVENT_STREAM}") {{{end}'
        f"{indent}{step}{text}{end}{indent}}}"
    )
    return diagnostic_at(rule, source, span, Edit(one.start, one.stop, wrapped))


def _limit(
    rule: ConfigRule, source: Source, value: Token, heartbeat_s: float
) -> Iterator[Diagnostic]:
    found = _DURATION.fullmatch(value.text)
    if found is None:
        return
    limit_s = float(found[1]) * _SECONDS[found[2] or "s"]
    severity = idle_limit_severity(limit_s, heartbeat_s)
    if severity is None:
        return
    yield diagnostic_at(
        rule,
        source,
        (value.start, value.end),
        Edit(value.start, value.end, _LONG),
        severity=severity if rule is BETWEEN_BYTES else Severity.WARNING,
        limit=value.text,
        heartbeat=heartbeat_s,
    )
