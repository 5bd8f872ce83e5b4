"""What a section of a run holds: requests of one part of the plan, or what one moment saw."""

from __future__ import annotations

from undam.timing import Histogram

# 0.4 %: fine enough for a comparison and a drawing, and small in a file.
_COARSE = 9


class Block:
    """Requests that followed one another in the plan, for a comparison's noise."""

    __slots__ = ("e2e", "failed", "itl", "requests", "tpot", "ttft")

    def __init__(self) -> None:
        self.requests = self.failed = 0
        self.ttft, self.itl = Histogram(bits=_COARSE), Histogram(bits=_COARSE)
        self.tpot, self.e2e = Histogram(bits=_COARSE), Histogram(bits=_COARSE)

    def merge(self, other: Block) -> None:
        """Add what ``other`` holds."""
        self.requests += other.requests
        self.failed += other.failed
        for name in ("ttft", "itl", "tpot", "e2e"):
            getattr(self, name).merge(getattr(other, name))


class TimeBucket:
    """What happened in one span of time.

    Attributes:
        started: requests that were due then. ``ended`` and ``failed`` by when they were over.
        ttft: of requests that were due then, ns.
        late_ns: the longest that a read waited for this program.
    """

    __slots__ = ("ended", "events", "failed", "late_ns", "started", "ttft")

    def __init__(self) -> None:
        self.started = self.ended = self.failed = self.events = self.late_ns = 0
        self.ttft = Histogram(bits=_COARSE)

    def merge(self, other: TimeBucket) -> None:
        """Add what ``other`` holds."""
        for name in ("started", "ended", "failed", "events"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.late_ns = max(self.late_ns, other.late_ns)
        self.ttft.merge(other.ttft)
