"""Waterfall of the slowest requests, from intended start to end."""

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
from undam.report.dots import outcome_text
from undam.report.markup import (
    NO_VALUE,
    Child,
    Markup,
    element,
    escape,
    format_ms,
    join,
    px,
)

MAX_ROWS = 14
_ROW = 24.0
_BAR = 12.0
_TOP = 30.0
_LABEL = 92.0
_MIN_LABEL_WIDTH = 56.0
# Marks closer than half a pixel cannot be distinguished.
_MIN_STEP = 0.5


def slowest(requests: Sequence[RequestResult], most: int = MAX_ROWS) -> list[RequestResult]:
    """Return the requests that took longest from intended start to end, slowest first."""
    return sorted(requests, key=lambda one: one.intended_ns - one.ended_ns)[:most]


def waterfall(requests: Sequence[RequestResult], stall_ms: float) -> Markup:
    """Return a waterfall chart with one row per request.

    Args:
        requests: at least one, in the order of the rows.
        stall_ms: minimum length of gaps that are marked as stalls.
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
    description = "; ".join(f"request {one.number}: {_summary(one)}" for one in requests[:5])
    picture = drawing("waterfall", height, "Waterfall of the slowest requests", description, parts)
    return figure(picture, _legend(stall_ms), _numbers(requests, stall_ms))


def phases(one: RequestResult) -> Iterator[tuple[str, str, int, int]]:
    """Yield (CSS class, label, start, end) for each phase, in ns after the intended start."""
    marks = [
        ("send", "send delay", one.started_ns),
        ("head", "wait for response head", one.head_ns),
        ("first", "wait for first content", one.reads[0].at_ns if one.reads else None),
        (
            "content" if one.reads else "failed",
            "content" if one.reads else outcome_text(one),
            one.ended_ns,
        ),
    ]
    at = 0
    for name, label, until_ns in marks:
        if until_ns is None:
            continue
        # Timestamps from the kernel and from user space can be out of order by some microseconds.
        until = max(at, until_ns - one.intended_ns)
        yield name, label, at, until
        at = until


def _row(one: RequestResult, y: float, x: Scale, stall_ms: float) -> list[Child]:
    parts: list[Child] = [
        text(LEFT + _LABEL - 10, y + 10, f"request {one.number}", class_="tick end"),
    ]
    for name, label, start, end in phases(one):
        parts.append(
            with_title(
                "rect",
                f"request {one.number}, {label}: {format_ms((end - start) / 1e6)}",
                x=x(start / 1e9),
                y=y + (_BAR / 4 if name == "content" else 0),
                width=x(end / 1e9) - x(start / 1e9),
                height=_BAR / (2 if name == "content" else 1),
                class_=f"w-{name}",
            )
        )
    parts.append(_reads(one, y, x))
    parts += _stalls(one, y, x, stall_ms)
    if outcome_text(one) != "complete":
        end_s = (one.ended_ns - one.intended_ns) / 1e9
        parts.append(text(x(end_s) - 4, y + 10, outcome_text(one), class_="tick end bad"))
    return parts


def _reads(one: RequestResult, y: float, x: Scale) -> Markup | None:
    """Return one path that marks every read, because separate elements would bloat the page."""
    path, last = [], -1.0
    for read in one.reads:
        position = x((read.at_ns - one.intended_ns) / 1e9)
        if position - last >= _MIN_STEP:
            path.append(f"M{px(position)} {px(y)}v{px(_BAR)}")
            last = position
    return element("path", d="".join(path), class_="reads") if path else None


def stalls(one: RequestResult, stall_ms: float) -> list[tuple[int, int]]:
    """Return the gaps of at least ``stall_ms`` as (start, end), in ns after the intended start."""
    return [
        (before.at_ns - one.intended_ns, after.at_ns - one.intended_ns)
        for before, after in pairwise(one.reads)
        if after.at_ns - before.at_ns >= stall_ms * 1e6
    ]


def _stalls(one: RequestResult, y: float, x: Scale, stall_ms: float) -> Iterator[Markup]:
    for start, end in stalls(one, stall_ms):
        left, right = x(start / 1e9), x(end / 1e9)
        length = format_ms((end - start) / 1e6)
        yield with_title(
            "rect",
            f"request {one.number}, stall of {length}",
            x=left,
            y=y - 2,
            width=right - left,
            height=_BAR + 4,
            class_="w-stall",
        )
        if right - left >= _MIN_LABEL_WIDTH:
            yield text((left + right) / 2, y + 10, length, class_="tick mid")


def _summary(one: RequestResult) -> str:
    return ", ".join(
        f"{label} {format_ms((end - start) / 1e6)}" for _, label, start, end in phases(one)
    )


def _legend(stall_ms: float) -> Markup:
    keys = (
        ("w-send", "send delay"),
        ("w-head", "wait for response head"),
        ("w-first", "wait for first content"),
        ("w-content", "content, one mark per read"),
        ("w-stall", f"stall of at least {format_ms(stall_ms)}"),
        ("w-failed", "no content"),
    )
    return join(
        element("span", element("i", class_=f"key {name}"), escape(f" {label}"), class_="legend")
        for name, label in keys
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
                *(NO_VALUE if wait is None else format_ms(wait / 1e6) for wait in waits),
                f"{len(found)}" if longest is None else f"{len(found)}, {format_ms(longest / 1e6)}",
                outcome_text(one),
            )
        )
    head = (
        "request",
        "send delay",
        "to head",
        "to content",
        "content",
        "stalls, longest",
        "end",
    )
    return Table(head, rows)
