"""Knob 1, compression: haproxy's compressor lets an event go with the next one."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.haproxy.buffering import line_in
from undam.lint.dialects.haproxy.catalogue import EVERY_TYPE, STREAM_TYPE
from undam.lint.dialects.haproxy.reader import Directive, Section, Word
from undam.lint.dialects.haproxy.routes import EVENT_STREAM, Route
from undam.textfiles.edits import Edit, delete_line, insert_line_after
from undam.textfiles.source import Source

_TYPES = "text/html text/plain text/css application/javascript application/json"
# From 3.0 on directions can be told apart; without a suffix the response is meant.
_ALGO = ("algo", "algo-res")
_TYPE = ("type", "type-res")


def find_compression(route: Route, source: Source) -> Iterator[Diagnostic]:
    """Event streams among what is compressed on a route."""
    algos = _of_nearest_side(route, _ALGO)
    if not any(word.text != "identity" for line in algos for word in line.words[2:]):
        return
    if any(_hides_coding(side) for side in route.sides):
        return
    types = _of_nearest_side(route, _TYPE)
    if not types:
        yield _every_type(route, source, algos[-1])
    for line in types:
        for word in line.words[2:]:
            if word.text.lower() == EVENT_STREAM:
                edits = _without(source, line, word, types, algos)
                yield diagnostic_at(
                    STREAM_TYPE, source, (word.start, word.end), *edits, type=word.text
                )
            elif EVENT_STREAM.startswith(word.text.lower()):
                span = (word.start, word.end)
                edit = Edit(*span, _TYPES)
                what = f"'compression type {word.text}'"
                yield diagnostic_at(EVERY_TYPE, source, span, edit, what=what)


def _every_type(route: Route, source: Source, algo: Directive) -> Diagnostic:
    owner = next((side for side in route.sides if algo in side.lines), None)
    text = f"compression type {_TYPES}"
    if owner is None:  # it came from defaults, where other sections would get the list, too
        edit = line_in(source, route.back, text, beside=("compression", "option", "mode"))
    else:
        edit = insert_line_after(source, algo.start, text)
    span = (algo.start, algo.end)
    return diagnostic_at(EVERY_TYPE, source, span, edit, what="'compression algo' without types")


def _of_nearest_side(route: Route, keywords: tuple[str, ...]) -> list[Directive]:
    """The lines that hold: the backend's, else the frontend's."""
    for side in route.sides:
        lines = [line for word in keywords for line in side.inherited("compression", word)]
        if lines:
            return lines
    return []


def _hides_coding(section: Section) -> bool:
    """Whether the client's Accept-Encoding is taken out of each request."""
    lines = section.inherited("http-request", "del-header")
    return any([word.lower() for word in line.texts[2:]] == ["accept-encoding"] for line in lines)


def _without(
    source: Source,
    line: Directive,
    word: Word,
    types: list[Directive],
    algos: list[Directive],
) -> list[Edit]:
    """Take the type out; with the last type compression goes, for no type would mean every type."""
    if len(line.words) > 3:
        at = line.words.index(word)
        return [Edit(line.words[at - 1].end, word.end, "")]
    edits = [delete_line(source, line.start)]
    if len(types) == 1:
        edits += [delete_line(source, algo.start) for algo in algos]
    return edits
