"""Every gap of a run, the ones that are only known within bounds apart from the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from undam.record import ContentRead, Measured

LATE_NS = 1_000_000
"""A read of several events that waited here for so long may have been several when it came."""


@dataclass(slots=True)
class Gaps:
    """Gaps between content events, in milliseconds.

    Attributes:
        low, high: each gap's least and greatest possible value, in ascending order each.
        alone: gaps to an event that came by itself, so that both bounds are one figure.
        together: gaps within a read whose bytes did not wait here: they were sent together.
        uncertain: gaps of a read that waited here, so that only bounds are known.
    """

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    alone: int = 0
    together: int = 0
    uncertain: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.low)


def gaps_of(requests: Iterable[Measured]) -> Gaps:
    """The gaps of all of them."""
    gaps = Gaps()
    for one in requests:
        before: ContentRead | None = None
        for read in one.reads:
            _add(gaps, before, read)
            before = read
    gaps.low.sort()
    gaps.high.sort()
    return gaps


def _add(gaps: Gaps, before: ContentRead | None, read: ContentRead) -> None:
    inner = read.events - 1
    late = inner > 0 and read.late_ns >= LATE_NS
    slack = read.slack_ns / 1e6 if late else 0.0
    if before is not None:
        whole = max(0, read.at_ns - before.at_ns) / 1e6
        gaps.low.append(max(0.0, whole - slack))
        gaps.high.append(whole)
    gaps.low += [0.0] * inner
    gaps.high += [slack] * inner
    outer = before is not None
    if late:
        gaps.uncertain += inner + outer
    else:
        gaps.together += inner
        gaps.alone += outer
