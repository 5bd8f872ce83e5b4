"""Arrivals as a row of characters: what came when, readable in a terminal and in a ticket."""

from __future__ import annotations

from collections.abc import Sequence

UNICODE = " ·:▪█"
ASCII = " .:o#"

# One event, a few, about what a small buffer holds, a block.
_STEPS = (1, 2, 5, 16)


def sparkline(times_ms: Sequence[float], end_ms: float, width: int, marks: str = UNICODE) -> str:
    """``width`` characters for 0 to ``end_ms``; each stands for the events that came in its time.

    Args:
        times_ms: one an event, in any order; those outside are drawn at the nearest end.
        marks: for no event, one, 2 to 4, 5 to 15, and more.
    """
    counts = [0] * width
    for time in times_ms:
        column = int(min(max(time / end_ms, 0.0), 1.0) * width) if end_ms > 0 else 0
        counts[min(max(column, 0), width - 1)] += 1
    return "".join(marks[sum(count >= step for step in _STEPS)] for count in counts)


def legend(end_ms: float, width: int, marks: str = UNICODE) -> str:
    """What the characters of a picture mean."""
    column = end_ms / width
    each = f"{column:.0f} ms" if column >= 10 else f"{column:.1f} ms"
    return (
        f"0 to {end_ms / 1000:.1f} s, a column is {each}: "
        f"{marks[1]} one event  {marks[2]} 2-4  {marks[3]} 5-15  {marks[4]} 16 and more"
    )
