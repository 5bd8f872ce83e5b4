"""Event arrivals over time as one line of characters."""

from __future__ import annotations

from collections.abc import Sequence

UNICODE = " ·:▪█"
ASCII = " .:o#"

# Minimum number of events for each symbol: one event, a few, a small buffer, a block.
_STEPS = (1, 2, 5, 16)


def sparkline(times_ms: Sequence[float], end_ms: float, width: int, symbols: str = UNICODE) -> str:
    """Return ``width`` symbols, each for an equal part of the time from 0 to ``end_ms``.

    Args:
        times_ms: arrival time of each event, in any order. Times outside the range are drawn at its
            nearest end.
        symbols: characters for no event, one, 2 to 4, 5 to 15, and 16 or more.
    """
    counts = [0] * width
    for time in times_ms:
        column = int(min(max(time / end_ms, 0.0), 1.0) * width) if end_ms > 0 else 0
        counts[min(max(column, 0), width - 1)] += 1
    return "".join(symbols[sum(count >= step for step in _STEPS)] for count in counts)


def legend(end_ms: float, width: int, symbols: str = UNICODE) -> str:
    """Return the legend for ``sparkline``."""
    column = end_ms / width
    each = f"{column:.0f} ms" if column >= 10 else f"{column:.1f} ms"
    return (
        f"0 to {end_ms / 1000:.1f} s, a column is {each}: "
        f"{symbols[1]} one event  {symbols[2]} 2-4  {symbols[3]} 5-15  {symbols[4]} 16 and more"
    )
