"""Content of a run's sections: blocks of requests, time buckets and load buckets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from undam.metrics.merging import MAXIMUM, MERGED, SUM, merge_fields
from undam.timing import Histogram

# Resolution 0.4 %: precise enough for comparisons and charts, and small when saved in a file.
_COARSE = partial(Histogram, bits=9)


@dataclass(slots=True, eq=False)
class Block:
    """Consecutive requests of the plan. A comparison estimates the noise from such blocks."""

    requests: int = field(default=0, metadata=SUM)
    failed: int = field(default=0, metadata=SUM)
    ttft: Histogram = field(default_factory=_COARSE, metadata=MERGED)
    itl: Histogram = field(default_factory=_COARSE, metadata=MERGED)
    tpot: Histogram = field(default_factory=_COARSE, metadata=MERGED)
    e2e: Histogram = field(default_factory=_COARSE, metadata=MERGED)

    def merge(self, other: Block) -> None:
        """Add the values of ``other``."""
        merge_fields(self, other)


@dataclass(slots=True, eq=False)
class TimeBucket:
    """Events in one span of time.

    Attributes:
        started: requests whose intended start is in this span.
        ended: requests that ended in this span.
        failed: requests that ended in this span and failed.
        ttft: TTFT of the requests that started in this span, ns.
        late_ns: longest time that a read waited for the load generator.
    """

    started: int = field(default=0, metadata=SUM)
    ended: int = field(default=0, metadata=SUM)
    failed: int = field(default=0, metadata=SUM)
    events: int = field(default=0, metadata=SUM)
    late_ns: int = field(default=0, metadata=MAXIMUM)
    ttft: Histogram = field(default_factory=_COARSE, metadata=MERGED)

    def merge(self, other: TimeBucket) -> None:
        """Add the values of ``other``."""
        merge_fields(self, other)


@dataclass(slots=True, eq=False)
class ServedWork:
    """Complete responses, with their tokens and events."""

    requests: int = field(default=0, metadata=SUM)
    tokens: int = field(default=0, metadata=SUM)
    events: int = field(default=0, metadata=SUM)

    def merge(self, other: ServedWork) -> None:
        """Add the responses of ``other``."""
        merge_fields(self, other)

    def add(self, tokens: int, events: int) -> None:
        """Add one response."""
        self.requests += 1
        self.tokens += tokens
        self.events += events


@dataclass(slots=True, eq=False)
class LoadBucket:
    """Load in one span of time, including warm-up and abandoned requests.

    Attributes:
        begun: requests whose intended start is in this span.
        begun_sum_ns: sum of these intended starts.
        ended: requests that ended in this span for any reason.
        ended_sum_ns: sum of these ends.
        stay: time from the intended start to the end of the requests that began in this span.
        served_begun: complete responses of requests that began in this span.
        served_ended: complete responses that ended in this span.
    """

    begun: int = field(default=0, metadata=SUM)
    begun_sum_ns: int = field(default=0, metadata=SUM)
    ended: int = field(default=0, metadata=SUM)
    ended_sum_ns: int = field(default=0, metadata=SUM)
    stay: Histogram = field(default_factory=_COARSE, metadata=MERGED)
    served_begun: ServedWork = field(default_factory=ServedWork, metadata=MERGED)
    served_ended: ServedWork = field(default_factory=ServedWork, metadata=MERGED)

    def merge(self, other: LoadBucket) -> None:
        """Add the requests of ``other``."""
        merge_fields(self, other)
