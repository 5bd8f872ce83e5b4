"""Rules HAP102-HAP103: compression, which holds each event until the next one arrives."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.haproxy.parser import HaproxyDirective, HaproxySection, insert_line
from undam.lint.dialects.haproxy.routes import EVENT_STREAM, HaproxyRoute
from undam.rules import Severity
from undam.textfiles.edits import Edit, delete_line, insert_line_after
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word

STREAM_TYPE = ConfigRule(
    code="HAP102",
    slug="event-stream-compressed",
    severity=Severity.ERROR,
    message="'compression type' lists {type}, so each event is held until the next one arrives",
    safety=Safety.SAFE,
    what="""
        haproxy compresses event streams, and its compressor releases an event only when the next
        one arrives.
    """,
    why="""
        The client receives each token only when the next one is sent. The last token before a pause
        is held until the pause ends. In a measurement without `option http-no-delay`, heartbeats
        were 508 ms late.
    """,
    detection="""
        `compression algo` applies to a streaming route, and the compression types include
        `text/event-stream`. Types are matched by prefix. The backend's types take precedence over
        the frontend's types. Responses with `Cache-Control: no-transform` and responses to clients
        that do not accept gzip are not compressed.
    """,
    measured="""
        haproxy 2.6.12 with `option http-no-delay` and events sent 25 ms apart: each event arrived
        25 to 28 ms late. Without `text/event-stream` in the list, each event was 0.2 ms late.
    """,
    fix="""
        Remove `text/event-stream` from the list. If `text/event-stream` is the only type, remove
        `compression algo` as well, because an empty list covers every type.

            compression type text/html text/css application/javascript
    """,
    source="measured on loopback with haproxy 2.6.12; configuration manual, compression type",
)

EVERY_TYPE = ConfigRule(
    code="HAP103",
    slug="every-type-compressed",
    severity=Severity.ERROR,
    message="{what} compresses event streams too, so each event is held until the next one arrives",
    safety=Safety.UNSAFE,
    what="""
        Without `compression type`, `compression algo` compresses every response that is not
        multipart. A type such as `text/` covers every type that starts with it.
    """,
    why="""
        Event streams are compressed as well, so the client receives each token only when the next
        one is sent. The last token before a pause is held until the pause ends.
    """,
    detection="""
        `compression algo` is set in the backend of a streaming route, or only in its frontend.
        Either no `compression type` is set, or the types include a prefix of `text/event-stream`.
    """,
    measured="""
        haproxy 2.6.12 with events sent 10 ms apart: each event arrived 10 ms late with `compression
        algo gzip` alone, and also with `compression type text/`. With a list that excludes event
        streams, each event was 0.1 ms late.
    """,
    fix="""
        List the types to compress. Types that are not in the list are no longer compressed, so add
        all types that you need.

            compression type text/html text/plain text/css application/javascript application/json
    """,
    source="measured on loopback with haproxy 2.6.12; configuration manual, compression algo",
)

RULES = (STREAM_TYPE, EVERY_TYPE)

_TYPES = "text/html text/plain text/css application/javascript application/json"
# Since HAProxy 3.0, the keyword may have a suffix for the direction. Without a suffix, it applies
# to responses.
_ALGO = ("algo", "algo-res")
_TYPE = ("type", "type-res")


def find(route: HaproxyRoute, source: Source) -> Iterator[Diagnostic]:
    """Find compression that affects event streams on a route."""
    algos = _from_nearest_side(route, _ALGO)
    if not any(word.text != "identity" for line in algos for word in line.words[2:]):
        return
    if any(_removes_accept_encoding(side) for side in route.sides):
        return
    types = _from_nearest_side(route, _TYPE)
    if not types:
        yield _every_type(route, source, algos[-1])
    for line in types:
        for word in line.words[2:]:
            if word.text.lower() == EVENT_STREAM:
                edits = _remove_type(source, line, word, types, algos)
                yield diagnostic_at(STREAM_TYPE, source, word.span, *edits, type=word.text)
            elif EVENT_STREAM.startswith(word.text.lower()):
                edit = Edit(*word.span, _TYPES)
                what = f"'compression type {word.text}'"
                yield diagnostic_at(EVERY_TYPE, source, word.span, edit, what=what)


def _every_type(route: HaproxyRoute, source: Source, algo: HaproxyDirective) -> Diagnostic:
    owner = next((side for side in route.sides if algo in side.lines), None)
    text = f"compression type {_TYPES}"
    if owner is None:
        # No list is added to the defaults section, because it would apply to other sections, too.
        edit = insert_line(source, route.back, text, after=("compression", "option", "mode"))
    else:
        edit = insert_line_after(source, algo.start, text)
    what = "'compression algo' without types"
    return diagnostic_at(EVERY_TYPE, source, algo.span, edit, what=what)


def _from_nearest_side(route: HaproxyRoute, keywords: tuple[str, ...]) -> list[HaproxyDirective]:
    """Return the compression lines in effect: those in the backend, or else in the frontend."""
    for side in route.sides:
        lines = [line for word in keywords for line in side.inherited("compression", word)]
        if lines:
            return lines
    return []


def _removes_accept_encoding(section: HaproxySection) -> bool:
    """Return whether Accept-Encoding is deleted from every request, which disables compression."""
    lines = section.inherited("http-request", "del-header")
    return any([word.lower() for word in line.texts[2:]] == ["accept-encoding"] for line in lines)


def _remove_type(
    source: Source,
    line: HaproxyDirective,
    word: Word,
    types: list[HaproxyDirective],
    algos: list[HaproxyDirective],
) -> list[Edit]:
    """Return the edits that remove a type, or all compression if it is the only type."""
    if len(line.words) > 3:
        at = line.words.index(word)
        return [Edit(line.words[at - 1].end, word.end, "")]
    edits = [delete_line(source, line.start)]
    if len(types) == 1:
        edits += [delete_line(source, algo.start) for algo in algos]
    return edits
