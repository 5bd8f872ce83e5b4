"""Search for the highest load that meets the objectives, in a bounded number of runs. No I/O.

The result is an interval: the highest load that met them, and the lowest above it that missed
them, each in the majority of its runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

RESOLUTION = 1.03
"""The search ends when the upper end of the interval is at most this multiple of the lower end.

The lower end is the result, so it is on average half of this step below the true limit. Smaller
steps would mostly measure the variation between runs."""

MAX_STEPS = 24
# If even this fraction of the first load misses an objective, no load is likely to meet all of
# them. For this limit, a first load above ``_HIGHEST_FIRST_RATE`` counts as that rate, because it
# may be far above the capacity of the server.
_LOWEST_FRACTION = 1 / 64
_HIGHEST_FIRST_RATE = 8.0
# The rate at which an overloaded server completes requests shows its capacity, up to this factor.
_CAPACITY_ERROR = 1.1
# Fraction of the served rate to try after an overload, so that the server's queue is stable.
_BELOW_CAPACITY = 0.9
# Pairs: ratio of the ends of the interval, and step length as a multiple of the first step's
# length.
_LENGTHS = ((1.15, 3), (1.6, 2))
_CONFIRMATIONS = 2
_MAX_DOUBTS = 2
# Tolerance for loads, because they are rounded to three digits.
_ROUNDING = 1.005


# A step ends early only above both limits, because one refused burst can cause several failures.
_MIN_FAILED = 10
_FAILING_SHARE = 0.05


def is_failing(failed: int, requests: int, allowed: float = 0.0) -> bool:
    """Return whether a step may end early, because more than 5 % of its requests have failed.

    Args:
        allowed: number of failures that the objectives allow.
    """
    return failed >= _MIN_FAILED and failed > max(allowed, _FAILING_SHARE * requests)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """Outcome of one run of a search.

    Args:
        met: whether the objectives were met in a stable state.
        doubtful: whether delays of the load generator could have changed that.
        served: complete responses per second; ``None`` if unknown.
    """

    met: bool
    doubtful: bool = False
    served: float | None = None


@dataclass(slots=True)
class _Votes:
    met: int = 0
    missed: int = 0

    @property
    def is_met(self) -> bool:
        return self.met > self.missed

    @property
    def is_decided(self) -> bool:
        return abs(self.met - self.missed) >= _CONFIRMATIONS or self.met + self.missed > 2


@dataclass(slots=True)
class CapacitySearch:
    """Search that doubles the load until it misses an objective, then narrows the interval.

    Finally, another run confirms each end of the interval.

    After a miss, no step is far above the rate that the server still served, so a server that fails
    is not flooded.

    Attributes:
        first: load of the first run.
        is_integer: whether loads are whole numbers (slots of a closed loop) instead of rates.
        next: load to run next; ``None`` when the search is over.
        length: length of the next run, as a multiple of the first one.
        steps: number of runs so far.
        stopped_by_client: whether delays of the load generator ended the search.
    """

    first: float
    is_integer: bool = False
    next: float | None = None
    length: int = 1
    steps: int = 0
    stopped_by_client: bool = False
    _votes: dict[float, _Votes] = field(default_factory=lambda: defaultdict(_Votes))
    _doubts: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    _capacity: float | None = None

    def __post_init__(self) -> None:
        self.next = self._round(self.first)

    @property
    def met(self) -> float | None:
        """Highest load that met the objectives and is below every load that missed them."""
        missed = self.missed
        loads = [load for load, votes in self._votes.items() if votes.is_met]
        return max((load for load in loads if missed is None or load < missed), default=None)

    @property
    def missed(self) -> float | None:
        """Lowest load that missed the objectives."""
        return min((load for load, votes in self._votes.items() if not votes.is_met), default=None)

    @property
    def is_confirmed(self) -> bool:
        """Return whether both ends of the interval were confirmed by another run."""
        ends = [end for end in (self.met, self.missed) if end is not None]
        return len(ends) == 2 and all(self._votes[end].is_decided for end in ends)

    def record(self, outcome: StepOutcome) -> None:
        """Record the outcome of the run at the load ``next``."""
        assert self.next is not None
        self.steps += 1
        if outcome.doubtful:
            # A disturbance should be temporary. If it recurs, the load generator is the bottleneck,
            # and higher loads would not test the server.
            self._doubts[self.next] += 1
            self.stopped_by_client = self._doubts[self.next] >= _MAX_DOUBTS
            if self.stopped_by_client or self.steps >= MAX_STEPS:
                self.next = None
            return
        votes = self._votes[self.next]
        votes.met += outcome.met
        votes.missed += not outcome.met
        if not outcome.met and outcome.served and not self.is_integer:
            self._capacity = max(outcome.served, self._capacity or 0.0)
        self.next = self._choose() if self.steps < MAX_STEPS else None

    def _choose(self) -> float | None:
        met, missed = self.met, self.missed
        if missed is None:
            assert met is not None
            return self._round(met * 2)
        if met is None:
            return self._lower(missed)
        self.length = next((factor for width, factor in _LENGTHS if missed <= width * met), 1)
        between = self._between(met, missed)
        if between is not None:
            return between
        undecided = [end for end in (met, missed) if not self._votes[end].is_decided]
        return undecided[0] if undecided else None

    def _lower(self, missed: float) -> float | None:
        """Return a lower load to try after ``missed``; ``None`` to give up."""
        load = missed / 2
        if self._capacity is not None:
            load = min(load, _BELOW_CAPACITY * self._capacity)
        lowest = min(self.first, _HIGHEST_FIRST_RATE) * _LOWEST_FRACTION
        if load < lowest and load < (self._capacity or load + 1) / 2:
            return None
        load = self._round(load)
        return load if 0 < load < missed else None

    def _between(self, met: float, missed: float) -> float | None:
        """Return a load between ``met`` and ``missed``, or ``None`` if they are close enough."""
        if missed <= RESOLUTION * _ROUNDING * met or (self.is_integer and missed - met <= 1):
            return None
        upper = missed
        if self._capacity is not None and met < _CAPACITY_ERROR * self._capacity < missed:
            upper = _CAPACITY_ERROR * self._capacity
        load = self._round(math.sqrt(met * upper))
        if load <= met * math.sqrt(RESOLUTION):
            # The served rate suggests that the limit is close. To confirm this, a slightly higher
            # load must miss the objectives.
            load = self._round(min(met * RESOLUTION, math.sqrt(met * missed)))
        return load if met < load < missed else None

    def _round(self, load: float) -> float:
        """Round to three significant digits, so that reports can name the load."""
        return float(max(1, round(load))) if self.is_integer else float(f"{load:.3g}")
