"""How events came together, over all answers: how many at a time, in what size and rhythm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from undam.metrics.gaps import Burst, ResponseGaps
from undam.record import RequestResult
from undam.timing import Histogram

# Fewer events show no pattern: the last few of an answer often come with its end.
_FEWEST = 4
# An answer that came whole must be long, and so late that it could have come in parts: 50 ms, or
# 0.5 ms an event. The limits of `undam check`.
_FEWEST_WHOLE = 8
_WHOLE_AFTER_NS = 50_000_000
_WHOLE_EACH_NS = 500_000

_BITS = 9


class MeanAndSpread:
    """Mean and spread of whole numbers, exact under merging."""

    __slots__ = ("count", "squares", "total")

    def __init__(self) -> None:
        self.count = self.total = self.squares = 0

    def record(self, value: int) -> None:
        """Count one value."""
        self.count += 1
        self.total += value
        self.squares += value * value

    def merge(self, other: MeanAndSpread) -> None:
        """Add what ``other`` counted."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    @property
    def mean(self) -> float:
        """0 where there is nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def spread(self) -> float:
        """The standard deviation as a share of the mean; infinite where that is nothing."""
        if not self.total:
            return float("inf")
        # In whole numbers, since the difference of two large floats would be noise.
        variance = self.count * self.squares - self.total * self.total
        return sqrt(variance) / self.total


class Pattern:
    """Bursts of all answers that are long enough. Those our lateness may have made are left out.

    Attributes:
        answers: that were judged.
        events: in bursts that were judged; the last burst of an answer is not.
        together: of these, those that came with another.
        bursts: that were judged.
        first: events of the first burst of answers that have three or more.
        sizes: events a burst, neither first nor last of their answers.
        sizes_bytes: the same in bytes, by the answer's mean event.
        distances: between the beginnings of such bursts, ns.
        whole: answers that came in one burst, though they took long enough to come in parts;
            ``whole_events`` and ``whole_after`` (ns from the request) tell how.
    """

    __slots__ = (
        "answers",
        "bursts",
        "distances",
        "events",
        "first",
        "sizes",
        "sizes_bytes",
        "together",
        "whole",
        "whole_after",
        "whole_events",
        "whole_within",
    )

    def __init__(self) -> None:
        self.answers = self.bursts = self.events = self.together = self.whole = 0
        self.sizes: Counter[int] = Counter()
        self.first, self.sizes_bytes, self.distances = (
            MeanAndSpread(),
            MeanAndSpread(),
            MeanAndSpread(),
        )
        self.whole_events, self.whole_after = Histogram(bits=_BITS), Histogram(bits=_BITS)
        self.whole_within = Histogram(bits=_BITS)

    def add(self, one: RequestResult, response_gaps: ResponseGaps) -> None:
        """Take one answer."""
        if one.events < _FEWEST or response_gaps.back_ns:
            return
        if response_gaps.bursts is None:
            self.answers += 1
            self.events += one.events - 1
            self.bursts += one.events - 1
        elif len(response_gaps.bursts) == 1:
            self._add_whole(one, response_gaps.bursts[0])
        else:
            self.answers += 1
            self._add_bursts(one, response_gaps.bursts)

    def _add_whole(self, one: RequestResult, burst: Burst) -> None:
        begun = one.intended_ns if one.started_ns is None else one.started_ns
        after = burst.start_ns - begun
        long_enough = max(_WHOLE_AFTER_NS, _WHOLE_EACH_NS * burst.events)
        if burst.hidden or burst.events < _FEWEST_WHOLE or after < long_enough:
            return
        self.answers += 1
        self.whole += 1
        self.whole_events.record(burst.events)
        self.whole_after.record(after)
        self.whole_within.record(one.reads[-1].at_ns - burst.start_ns)

    def _add_bursts(self, one: RequestResult, bursts: Sequence[Burst]) -> None:
        for burst in bursts[:-1]:
            if not burst.hidden:
                self.bursts += 1
                self.events += burst.events
                self.together += burst.events if burst.events > 1 else 0
        if len(bursts) > 2 and not bursts[0].hidden:
            self.first.record(bursts[0].events)
        for before, burst in pairwise(bursts[:-1]):
            if not burst.hidden:
                self.sizes[burst.events] += 1
                # A role or a usage is written in an event as large as the others.
                each = one.body_bytes / (one.events + one.empties)
                self.sizes_bytes.record(round(burst.events * each))
                self.distances.record(burst.start_ns - before.start_ns)

    def merge(self, other: Pattern) -> None:
        """Add what ``other`` holds."""
        for name in ("answers", "bursts", "events", "together", "whole"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.sizes.update(other.sizes)
        names = ("first", "sizes_bytes", "distances", "whole_events", "whole_after", "whole_within")
        for name in names:
            getattr(self, name).merge(getattr(other, name))
