"""What is looked for at each route that streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.apache.catalogue import (
    ACCEL_HEADER,
    CACHED,
    EXTERNAL_FILTER,
    FASTCGI_HELD,
    HTTP_10,
    RATE_LIMITED,
    SHORT_TIMEOUT,
    USELESS_FLUSH,
)
from undam.lint.dialects.apache.reader import Config, Directive, Scope, Word
from undam.lint.dialects.apache.routes import Route, Sections, Worker, settings_of
from undam.lint.limits import idle_limit_severity
from undam.textfiles.edits import Edit, delete_line, insert_line_after

_EVENT_STREAM = "text/event-stream"
_HELD_BY = frozenset({"fcgi", "ajp"})
_HTTP = frozenset({"http", "https"})
_ACCEL = "x-accel-buffering"
_DEFAULT_S = 60
_LONG_S = 3600
# Of these lines, which are few, each is compared with each route.
_MAX_LINES = 200


@dataclass(slots=True)
class Finder:
    """Asks all rules about routes of one configuration. What many routes share, the workers of a
    balancer and the sections around, is judged once."""

    config: Config
    sections: Sections
    heartbeat_s: float
    _judged: set[int] = field(default_factory=set)
    _around: set[tuple[int, ...]] = field(default_factory=set)
    _external: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = settings_of(list(self.config.root.all_scopes()), "extfilterdefine")
        self._external = frozenset(
            one.texts[0].lower()
            for one in names
            if not any(text.lower() == "mode=input" for text in one.texts)
        )

    def find(self, route: Route) -> Iterator[Diagnostic]:
        """Every mistake on a route."""
        scopes = self.sections.around(route)
        around = tuple(id(scope) for scope in scopes)
        is_new = around not in self._around
        self._around.add(around)
        if is_new:
            yield from self._filters(scopes)
            yield from _headers(scopes)
        yield from _caches(route, scopes)
        for worker in route.workers:
            if id(worker) not in self._judged:
                self._judged.add(id(worker))
                yield from self._worker(route, worker)
        if any(worker.scheme in _HTTP for worker in route.workers[:1]):
            yield from _old_http(scopes)

    def _worker(self, route: Route, worker: Worker) -> Iterator[Diagnostic]:
        source = worker.line.source
        if worker.scheme in _HELD_BY and not self._is_flushed(worker):
            now = worker.parameter("flushpackets")
            what = now.text if now else "flushpackets is off"
            edits = _set_parameter(route, worker, "flushpackets", "on")
            span = (now.start, now.end) if now else worker.line.span
            yield diagnostic_at(FASTCGI_HELD, source, span, *edits, scheme=worker.scheme, what=what)
        if worker.scheme in _HTTP:
            for word in worker.parameters:
                if word.text.lower().startswith(("flushpackets=", "flushwait=")):
                    yield diagnostic_at(
                        USELESS_FLUSH,
                        source,
                        (word.start, word.end),
                        _without_word(worker.line, word),
                        parameter=word.text,
                        scheme=worker.scheme,
                    )
        yield from self._limit(route, worker)

    def _is_flushed(self, worker: Worker) -> bool:
        now = worker.parameter("flushpackets")
        if now is not None:
            return now.text.lower().endswith("=on")
        for scope in self.sections.of_worker(worker):
            said = [*scope.args[1:], *(t for one in scope.named("proxyset") for t in one.texts)]
            if any(text.lower() == "flushpackets=on" for text in said):
                return True
        return False

    def _limit(self, route: Route, worker: Worker) -> Iterator[Diagnostic]:
        told = self._limit_of(route, worker)
        if told is None:
            return
        limit, line, span = told
        severity = idle_limit_severity(limit, self.heartbeat_s)
        if severity is None:
            return
        edits = _set_parameter(route, worker, "timeout", str(_LONG_S))
        # An edit belongs into the file that the mistake is told of.
        if line.source.path != worker.line.source.path and edits:
            line, span = worker.line, worker.line.span
        yield diagnostic_at(
            SHORT_TIMEOUT,
            line.source,
            span,
            *edits,
            severity=severity,
            limit=limit,
            heartbeat=self.heartbeat_s,
        )

    def _limit_of(
        self, route: Route, worker: Worker
    ) -> tuple[int, Directive, tuple[int, int]] | None:
        """The limit that holds for a worker and where it is said; ``None`` where that cannot be
        read."""
        word, line = worker.parameter("timeout"), worker.line
        if word is None:
            for scope in self.sections.of_worker(worker):
                if any(text.lower().startswith("timeout=") for text in scope.args[1:]):
                    return None
                for one in scope.named("proxyset"):
                    for said in one.args:
                        if said.text.lower().startswith("timeout="):
                            word, line = said, one
        if word is not None:
            number = _number(word.text.partition("=")[2])
            return None if number is None else (number, line, (word.start, word.end))
        server, root = route.line.scope.server, self.config.root
        for name in ("proxytimeout", "timeout"):
            for scope in (server, root):
                said_last = scope.last(name)
                if said_last is not None:
                    number = _number(said_last.texts[0])
                    return None if number is None else (number, said_last, said_last.span)
        return _DEFAULT_S, worker.line, worker.line.span

    def _filters(self, scopes: list[Scope]) -> Iterator[Diagnostic]:
        is_limited = any(
            one.texts[0].lower() == "rate-limit" for one in settings_of(scopes, "setenv")
        ) or any(
            text.lower().startswith("rate-limit")
            for one in settings_of(scopes, "setenvif", "setenvifexpr", "setenvifnocase")
            for text in one.texts
        )
        for one, word in _output_filters(scopes):
            for name in word.text.split(";"):
                span = (word.start, word.end)
                if name.upper() == "RATE_LIMIT" and is_limited:
                    yield diagnostic_at(RATE_LIMITED, one.source, span)
                elif name.lower() in self._external:
                    yield diagnostic_at(EXTERNAL_FILTER, one.source, span, name=name)


def _output_filters(scopes: list[Scope]) -> Iterator[tuple[Directive, Word]]:
    """The words that put filters on event streams."""
    chosen = settings_of(scopes, "setoutputfilter")
    if chosen:
        yield chosen[-1], chosen[-1].args[0]
    for one in settings_of(scopes, "addoutputfilterbytype"):
        if any(text.lower() in {_EVENT_STREAM, "*/*"} for text in one.texts[1:]):
            yield one, one.args[0]


def _caches(route: Route, scopes: list[Scope]) -> Iterator[Diagnostic]:
    prefix = route.prefix
    off = settings_of(scopes, "cachedisable")[-_MAX_LINES:]
    if any(prefix.startswith(one.texts[0]) for one in off):
        return
    is_off_here = any(one.texts[0].lower() == "on" for one in off)
    for one in settings_of(scopes, "cacheenable")[-_MAX_LINES:]:
        covered = one.texts[1] if len(one.texts) > 1 else ""
        inside = one.scope.kind.startswith("location")
        if inside and is_off_here:
            continue
        if not covered.startswith("/") or prefix.startswith(covered):
            # A request is looked up in the cache before httpd looks at any <Location>.
            text = f'CacheDisable "{prefix}"'
            indent = one.source.indent_at(one.start)
            edits = [] if inside else [insert_line_after(one.source, one.end - 1, text, indent)]
            yield diagnostic_at(CACHED, one.source, one.span, *edits, path=route.path)


def _headers(scopes: list[Scope]) -> Iterator[Diagnostic]:
    for one in settings_of(scopes, "header", "requestheader"):
        for word in one.args[:3]:
            is_set = "unset" not in one.texts[:2] and one.texts[0] != "echo"
            if word.text.lower() == _ACCEL and is_set:
                yield diagnostic_at(ACCEL_HEADER, one.source, (word.start, word.end))


def _old_http(scopes: list[Scope]) -> Iterator[Diagnostic]:
    for one in settings_of(scopes, "setenv")[-_MAX_LINES:]:
        if one.texts[0].lower() == "force-proxy-request-1.0":
            edits = [delete_line(one.source, one.start)] if _is_one_line(one) else []
            yield diagnostic_at(HTTP_10, one.source, one.span, *edits)


def _set_parameter(route: Route, worker: Worker, name: str, value: str) -> list[Edit]:
    """Set a parameter of one worker; nothing where its line takes none."""
    now, line = worker.parameter(name), worker.line
    if now is not None:
        return [Edit(now.start, now.end, f"{name}={value}")]
    if line is route.line and not route.can_have_parameters:
        return []
    return [Edit(line.end, line.end, f" {name}={value}")]


def _without_word(line: Directive, word: Word) -> Edit:
    before = line.words[line.words.index(word) - 1]
    return Edit(before.end, word.end, "")


def _is_one_line(one: Directive) -> bool:
    return "\n" not in one.source.text[one.start : one.end]


def _number(text: str) -> int | None:
    """Seconds, as `timeout` and its kin read them."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None
