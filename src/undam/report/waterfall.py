"""The slowest requests, each from its intended start to its end, and what it waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from undam.record import RequestResult
from undam.report.axes import Scale, linear
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    drawing,
    figure,
    line,
    seconds_below,
    text,
    with_title,
)
from undam.report.dots import ending
from undam.report.markup import NOTHING, Child, Markup, element, escape, figure_ms, join, number

MOST_ROWS = 14
_ROW = 24.0
_BAR = 12.0
_TOP = 30.0
_LABEL = 92.0
_ROOM_FOR_WORDS = 56.0
# Closer marks than half a pixel cannot be told apart.
_LEAST_STEP = 0.5


def slowest(requests: Sequence[RequestResult], most: int = MOST_ROWS) -> list[RequestResult]:
    """Those that kept their reader waiting longest at a stretch, for the first content or amid
    it; the slowest first."""

    def waited(one: RequestResult) -> int:
        times = (one.intended_ns, *(read.at_ns for read in one.reads))
        if not one.reads:
            return one.ended_ns - one.intended_ns
        return max(after - before for before, after in pairwise(times))

    return sorted(requests, key=waited, reverse=True)[:most]


def waterfall(requests: Sequence[RequestResult], stall_ms: float) -> Markup:
    """A row for each request.

    Args:
        requests: at least one, in the order of the rows.
        stall_ms: gaps from here on are marked as stalls.
    """
    longest = max(one.ended_ns - one.intended_ns for one in requests) / 1e9
    x = linear(longest, LEFT + _LABEL, RIGHT)
    height = _TOP + _ROW * len(requests) + 24
    parts: list[Child] = [
        line(x(value), _TOP - 8, x(value), height - 22, class_="grid") for value in x.ticks(8)
    ]
    for i, one in enumerate(requests):
        parts += _row(one, _TOP + _ROW * i, x, stall_ms)
    parts.append(seconds_below(x, height - 6))
    said = "; ".join(f"request {one.number}: {_summary(one)}" for one in requests[:5])
    picture = drawing("waterfall", height, "Waterfall of the slowest requests", said, parts)
    return figure(picture, _legend(stall_ms), _numbers(requests, stall_ms))


def phases(one: RequestResult) -> Iterator[tuple[str, str, int, int]]:
    """Its parts as (class, words, from, to), in nanoseconds after the intended start."""
    marks = [
        ("send", "send delay", one.started_ns),
        ("head", "wait for the head", one.head_ns),
        ("first", "wait for the first content", one.reads[0].at_ns if one.reads else None),
        (
            "content" if one.reads else "failed",
            "content" if one.reads else ending(one),
            one.ended_ns,
        ),
    ]
    at = 0
    for name, words, until_ns in marks:
        if until_ns is None:
            continue
        # Stamps of the kernel and of this program may cross by microseconds.
        until = max(at, until_ns - one.intended_ns)
        yield name, words, at, until
        at = until


def _row(one: RequestResult, y: float, x: Scale, stall_ms: float) -> list[Child]:
    parts: list[Child] = [
        text(LEFT + _LABEL - 10, y + 10, f"request {one.number}", class_="tick end"),
    ]
    for name, words, start, end in phases(one):
        parts.append(
            with_title(
                "rect",
                f"request {one.number}, {words}: {figure_ms((end - start) / 1e6)}",
                x=x(start / 1e9),
                y=y + (_BAR / 4 if name == "content" else 0),
                width=x(end / 1e9) - x(start / 1e9),
                height=_BAR / (2 if name == "content" else 1),
                class_=f"w-{name}",
            )
        )
    parts.append(_reads(one, y, x))
    parts += _stalls(one, y, x, stall_ms)
    if ending(one) != "complete":
        end_s = (one.ended_ns - one.intended_ns) / 1e9
        parts.append(text(x(end_s) - 4, y + 10, ending(one), class_="tick end bad"))
    return parts


def _reads(one: RequestResult, y: float, x: Scale) -> Markup | None:
    """A mark where each read came in; a path, as a title for each would be most of the page."""
    path, last = [], -1.0
    for read in one.reads:
        place = x((read.at_ns - one.intended_ns) / 1e9)
        if place - last >= _LEAST_STEP:
            path.append(f"M{number(place)} {number(y)}v{number(_BAR)}")
            last = place
    return element("path", d="".join(path), class_="reads") if path else None


def stalls(one: RequestResult, stall_ms: float) -> list[tuple[int, int]]:
    """Its gaps of ``stall_ms`` and more, in nanoseconds after the intended start."""
    return [
        (before.at_ns - one.intended_ns, after.at_ns - one.intended_ns)
        for before, after in pairwise(one.reads)
        if after.at_ns - before.at_ns >= stall_ms * 1e6
    ]


def _stalls(one: RequestResult, y: float, x: Scale, stall_ms: float) -> Iterator[Markup]:
    for start, end in stalls(one, stall_ms):
        left, right = x(start / 1e9), x(end / 1e9)
        lasted = figure_ms((end - start) / 1e6)
        yield with_title(
            "rect",
            f"request {one.number}, stall of {lasted}",
            x=left,
            y=y - 2,
            width=right - left,
            height=_BAR + 4,
            class_="w-stall",
        )
        if right - left >= _ROOM_FOR_WORDS:
            yield text((left + right) / 2, y + 10, lasted, class_="tick mid")


def _summary(one: RequestResult) -> str:
    return ", ".join(
        f"{words} {figure_ms((end - start) / 1e6)}" for _, words, start, end in phases(one)
    )


def _legend(stall_ms: float) -> Markup:
    keys = (
        ("w-send", "send delay"),
        ("w-head", "wait for the head"),
        ("w-first", "wait for the first content"),
        ("w-content", "content, a mark for each read"),
        ("w-stall", f"stall, {figure_ms(stall_ms)} and more"),
        ("w-failed", "no content"),
    )
    return join(
        element("span", element("i", class_=f"key {name}"), escape(f" {words}"), class_="legend")
        for name, words in keys
    )


def _numbers(requests: Sequence[RequestResult], stall_ms: float) -> Table:
    rows = []
    for one in requests:
        parts = {name: end - start for name, _, start, end in phases(one)}
        waits = (parts.get(name) for name in ("send", "head", "first", "content"))
        found = stalls(one, stall_ms)
        longest = max((end - start for start, end in found), default=None)
        rows.append(
            (
                f"{one.number}",
                *(NOTHING if wait is None else figure_ms(wait / 1e6) for wait in waits),
                f"{len(found)}" if longest is None else f"{len(found)}, {figure_ms(longest / 1e6)}",
                ending(one),
            )
        )
    head = (
        "request",
        "send delay",
        "to the head",
        "to content",
        "content",
        "stalls, longest",
        "end",
    )
    return Table(head, rows)
