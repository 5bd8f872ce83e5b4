"""Pattern of bursts over all responses: events per burst, size and rhythm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import sqrt

from undam.metrics.gaps import ReadBurst, ResponseGaps
from undam.metrics.merging import COUNTS, MERGED, SUM, merge_fields
from undam.record import RequestResult
from undam.timing import Histogram

# With fewer events, there is no pattern: the last few events often arrive with the end of the
# response.
_MIN_EVENTS = 4
# A response in one burst counts as held only if it is long, and if it took long enough to arrive in
# parts: 50 ms, or 0.5 ms per event. `undam check` has the same limits.
_MIN_EVENTS_WHOLE = 8
_WHOLE_AFTER_NS = 50_000_000
_WHOLE_PER_EVENT_NS = 500_000

_ROUGH = partial(Histogram, bits=9)


@dataclass(slots=True, eq=False)
class MeanAndSpread:
    """Mean and relative standard deviation of integers. Merging loses no precision."""

    count: int = field(default=0, metadata=SUM)
    total: int = field(default=0, metadata=SUM)
    squares: int = field(default=0, metadata=SUM)

    def record(self, value: int) -> None:
        """Add one value."""
        self.count += 1
        self.total += value
        self.squares += value * value

    def merge(self, other: MeanAndSpread) -> None:
        """Add the values of ``other``."""
        merge_fields(self, other)

    @property
    def mean(self) -> float:
        """Mean; 0 if there are no values."""
        return self.total / self.count if self.count else 0.0

    @property
    def spread(self) -> float:
        """Standard deviation divided by the mean; infinite if the mean is 0."""
        if not self.total:
            return float("inf")
        # Integers are exact, while the difference of two large floats would be noise.
        variance = self.count * self.squares - self.total * self.total
        return sqrt(variance) / self.total


@dataclass(slots=True, eq=False)
class BurstPattern:
    """Bursts in all responses that are long enough.

    Bursts that the load generator may have caused are excluded.

    Attributes:
        answers: number of responses.
        bursts: number of bursts, without the last one of each response.
        events: number of events in these bursts.
        together: number of these events that arrived together with others.
        sizes: number of bursts by number of events, without the first and last of each response.
        first: events of the first burst, in responses with three or more bursts.
        sizes_bytes: estimated bytes per burst, by the mean event of the response.
        distances: time between the starts of successive bursts, ns.
        whole: responses in one burst that took long enough to arrive in parts.
        whole_events: events of these responses.
        whole_after: time from the request to this burst, ns.
        whole_within: duration of this burst, ns.
    """

    answers: int = field(default=0, metadata=SUM)
    bursts: int = field(default=0, metadata=SUM)
    events: int = field(default=0, metadata=SUM)
    together: int = field(default=0, metadata=SUM)
    sizes: Counter[int] = field(default_factory=Counter, metadata=COUNTS)
    first: MeanAndSpread = field(default_factory=MeanAndSpread, metadata=MERGED)
    sizes_bytes: MeanAndSpread = field(default_factory=MeanAndSpread, metadata=MERGED)
    distances: MeanAndSpread = field(default_factory=MeanAndSpread, metadata=MERGED)
    whole: int = field(default=0, metadata=SUM)
    whole_events: Histogram = field(default_factory=_ROUGH, metadata=MERGED)
    whole_after: Histogram = field(default_factory=_ROUGH, metadata=MERGED)
    whole_within: Histogram = field(default_factory=_ROUGH, metadata=MERGED)

    def merge(self, other: BurstPattern) -> None:
        """Add the responses of ``other``."""
        merge_fields(self, other)

    def add(self, one: RequestResult, gaps: ResponseGaps) -> None:
        """Add one response."""
        events = one.events
        if events < _MIN_EVENTS or gaps.step_back_ns:
            return
        if gaps.bursts is None:
            self.answers += 1
            self.events += events - 1
            self.bursts += events - 1
        elif len(gaps.bursts) == 1:
            self._add_whole(one, gaps.bursts[0])
        else:
            self.answers += 1
            # An event that only has a role or usage is about as large as a content event.
            self._add_bursts(gaps.bursts, one.body_bytes / (events + one.empties))

    def _add_whole(self, one: RequestResult, burst: ReadBurst) -> None:
        start_ns = one.intended_ns if one.started_ns is None else one.started_ns
        after = burst.start_ns - start_ns
        long_enough = max(_WHOLE_AFTER_NS, _WHOLE_PER_EVENT_NS * burst.events)
        if burst.uncertain or burst.events < _MIN_EVENTS_WHOLE or after < long_enough:
            return
        self.answers += 1
        self.whole += 1
        self.whole_events.record(burst.events)
        self.whole_after.record(after)
        self.whole_within.record(one.reads[-1].at_ns - burst.start_ns)

    def _add_bursts(self, bursts: Sequence[ReadBurst], event_bytes: float) -> None:
        for burst in bursts[:-1]:
            if not burst.uncertain:
                self.bursts += 1
                self.events += burst.events
                self.together += burst.events if burst.events > 1 else 0
        if len(bursts) > 2 and not bursts[0].uncertain:
            self.first.record(bursts[0].events)
        for before, burst in pairwise(bursts[:-1]):
            if not burst.uncertain:
                self.sizes[burst.events] += 1
                self.sizes_bytes.record(round(burst.events * event_bytes))
                self.distances.record(burst.start_ns - before.start_ns)
