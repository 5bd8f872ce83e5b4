"""Knob 1 without compression: the kernel's 200 ms, and bodies that are waited for."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.haproxy.catalogue import NO_DELAY, WAITS_FOR_BODY
from undam.lint.dialects.haproxy.reader import Directive, Section
from undam.lint.dialects.haproxy.routes import EVENT_STREAM, Route, acls_of, read_condition
from undam.textfiles.edits import Edit, insert_line_after
from undam.textfiles.source import Source

_OPTION = "http-no-delay"
# One event of any API is longer, so no event waits.
_SMALL_BYTES = 256
_EVENTS = f"{{ res.hdr(content-type) -m sub {EVENT_STREAM} }}"


def find_held_packets(route: Route, source: Source) -> Iterator[Diagnostic]:
    """Neither side of the route has the option."""
    if any(_is_on(side) for side in route.sides):
        return
    back = route.back
    off = [line for line in back.lines if line.begins("no", "option", _OPTION)]
    edits = [Edit(line.start, line.words[1].start, "") for line in off]
    if not edits:
        edits = [line_in(source, back, f"option {_OPTION}", beside=("option", "mode"))]
    span = (off[-1].start, off[-1].end) if off else (back.head.start, back.head.end)
    yield diagnostic_at(NO_DELAY, source, span, *edits, kind=back.kind, name=back.name)


def find_awaited_bodies(route: Route, source: Source) -> Iterator[Diagnostic]:
    """``http-response wait-for-body`` on either side."""
    for side in route.sides:
        acls = acls_of(side)
        for line in side.inherited("http-response", "wait-for-body"):
            condition = line.texts[_condition_at(line) :]
            if _at_least(line) or read_condition(condition, acls).no_events:
                continue
            span = (line.words[1].start, line.words[1].end)
            yield diagnostic_at(
                WAITS_FOR_BODY, source, span, *_without_events(line, condition), time=_time(line)
            )


def line_in(source: Source, section: Section, text: str, *, beside: tuple[str, ...]) -> Edit:
    """A new line of a section: behind its last one that begins with a word of ``beside``, the
    earlier words first, else behind its head."""
    indent = source.indent_at(section.lines[0].start) if section.lines else "    "
    for word in beside:
        for line in reversed(section.lines):
            if line.begins(word):
                return insert_line_after(source, line.start, text, indent)
    return insert_line_after(source, section.head.start, text, indent)


def _is_on(section: Section) -> bool:
    """Whether the option holds: the last word on it of the nearest section."""
    for one in section.chain():
        told = [
            *((line.start, True) for line in one.own("option", _OPTION)),
            *((line.start, False) for line in one.own("no", "option", _OPTION)),
            *((line.start, False) for line in one.own("default", "option", _OPTION)),
        ]
        if told:
            return max(told)[1]
    return False


def _at_least(line: Directive) -> bool:
    """Whether so few bytes are enough that no event waits."""
    if "at-least" not in line.texts:
        return False
    value = line.texts[line.texts.index("at-least") + 1 :][:1]
    return bool(value) and value[0].isdecimal() and int(value[0][:9]) <= _SMALL_BYTES


def _time(line: Directive) -> str:
    value = line.texts[3:4] if line.texts[2:3] == ("time",) else ()
    return value[0] if value else "its time"


def _condition_at(line: Directive) -> int:
    """Index of ``if`` or ``unless``, or one past the last word."""
    places = [at for at, word in enumerate(line.texts) if word in {"if", "unless"}]
    return places[0] if places else len(line.texts)


def _without_events(line: Directive, condition: tuple[str, ...]) -> list[Edit]:
    """The edit that leaves event streams out of the condition, where one word more can do it."""
    if not condition:
        return [Edit(line.end, line.end, f" unless {_EVENTS}")]
    if condition[0] == "unless":
        return [Edit(line.end, line.end, f" or {_EVENTS}")]
    if {"or", "||"} & set(condition):
        return []
    return [Edit(line.end, line.end, f" !{_EVENTS}")]
