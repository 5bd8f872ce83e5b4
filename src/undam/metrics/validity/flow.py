"""Request flow over time: offered and served rates, requests in flight, and the steady state.

Warm-up requests are load like any other, so all requests are counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from undam.metrics.aggregate import Aggregate
from undam.metrics.time_buckets import LoadBucket, ServedWork
from undam.metrics.validity.asked import RequestedLoad
from undam.timing import Histogram

# A slot has no request in flight for some microseconds between two requests.
_FULL_SHARE = 0.97
# With fewer requests, a rate would not be meaningful.
_MIN_SERVED = 10
# Early requests show how long responses take before a queue forms.
_EARLY_SHARE = 0.2
_MIN_EARLY = 10
_MIN_REQUESTS = 20
# Even if the server keeps up, the number of requests in flight varies by about the square root of
# the number of arrivals. A deviation of four times this value occurs in less than 1 of 10,000 runs.
_NOISE = 4.0
_MIN_EXCESS_SHARE = 0.05
# A smaller drift may have random causes; see `LoadFlow.drift`.
_MAX_DRIFT = 0.03
_DRIFT_NOISE = 1.5


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Time window in which the requested load was reached.

    Attributes:
        start_ns: start of the window, after the first intended start of any request.
        in_flight: mean number of requests in flight.
        requests: requests that started (closed loop) or completed (open loop) in the window.
    """

    start_ns: int
    end_ns: int
    requests: int
    in_flight: float
    requests_per_second: float
    tokens_per_second: float
    events_per_second: float


@dataclass(frozen=True, slots=True)
class Overload:
    """A queue that grew as long as requests arrived.

    Attributes:
        first_in_flight: mean number of requests in flight at the beginning.
        last_in_flight: number of requests in flight when the last one arrived.
        excess: how many of these are not explained by the initial duration of responses.
    """

    first_in_flight: int
    last_in_flight: int
    excess: int


class LoadFlow:
    """Flow of all requests of a run.

    Attributes:
        width_ns: width of a bucket.
        in_flight: number of requests in flight at the end of each bucket.
        steady: the steady state; ``None`` if there is none.
        reason: why there is no steady state; "" if there is one.
    """

    def __init__(self, aggregate: Aggregate, asked: RequestedLoad) -> None:
        self._asked = asked
        self.width_ns = 1 << aggregate.load.shift
        rows = dict(aggregate.load)
        self._first = min(rows, default=0)
        count = (max(rows, default=-self.width_ns) - self._first) // self.width_ns + 1
        self._buckets: list[LoadBucket] = [
            rows.get(self._first + i * self.width_ns) or LoadBucket() for i in range(count)
        ]
        self._total = sum(bucket.begun for bucket in self._buckets)
        self._start_ns = aggregate.load_first_ns or 0
        self._last_ns = aggregate.load_last_ns or 0
        self.in_flight = self._in_flight()
        self.reason = ""
        self.steady = self._closed() if not asked.is_open else self._open()

    @property
    def offered_per_second(self) -> float | None:
        """Rate of intended starts in an open loop; ``None`` in a closed loop."""
        span_ns = self._last_ns - self._start_ns
        if not self._asked.is_open or self._total < 2 or span_ns <= 0:
            return None
        return (self._total - 1) / (span_ns / 1e9)

    @property
    def served_while_offered(self) -> float | None:
        """Responses per second up to the start of the last request; ``None`` if none completed.

        In an overload that is too short for a steady state, this is the rate that was served.
        """
        last = (self._last_ns - self._first) // self.width_ns
        served = _joined(bucket.served_ended for bucket in self._buckets[:last]).requests
        span_ns = self._first + last * self.width_ns - self._start_ns
        return served / (span_ns / 1e9) if served and span_ns > 0 else None

    def rows(self) -> list[tuple[int, LoadBucket, int]]:
        """Return (start, bucket, requests in flight at the end of the bucket) for each bucket."""
        starts = [self._first + i * self.width_ns for i in range(len(self._buckets))]
        return list(zip(starts, self._buckets, self.in_flight, strict=True))

    def overload(self) -> Overload | None:
        """Return how a queue grew in an open loop; ``None`` if no queue grew.

        If the server keeps up, the number of requests in flight follows from the arrivals and the
        duration of the early responses. Slow responses alone are therefore not an overload.
        """
        last = (self._last_ns - self._first) // self.width_ns
        total = self._total
        if not self._asked.is_open or total < _MIN_REQUESTS:
            return None
        early, at_first = self._early()
        end_ns = self._first + (last + 1) * self.width_ns
        expected = 0.0
        for bucket in self._buckets[: last + 1]:
            if bucket.begun:
                age_ns = end_ns - bucket.begun_sum_ns // bucket.begun
                expected += bucket.begun * early.count_above(age_ns) / early.count
        now = self.in_flight[last]
        excess = now - expected
        if excess <= max(_MIN_EXCESS_SHARE * total, _NOISE * sqrt(total)):
            return None
        return Overload(at_first, now, round(excess))

    def drift(self) -> float:
        """Return the growth in request duration per second of arrival time; 0 if unknown.

        A server with a capacity of 40/s that is offered 44/s has a drift of 0.1: each second adds a
        tenth of a second to the queue.
        """
        rows = [bucket for bucket in self._buckets if bucket.begun]
        total = self._total
        if not self._asked.is_open or len(rows) < 3:
            return 0.0
        # Times since 1970 in nanoseconds have too many digits for floats, so they are made
        # relative.
        times = [(b.begun_sum_ns - b.begun * self._start_ns) / b.begun / 1e9 for b in rows]
        stays = [bucket.stay.total / bucket.begun / 1e9 for bucket in rows]
        weights = [bucket.begun / total for bucket in rows]
        mean_time = sum(w * t for w, t in zip(weights, times, strict=True))
        mean_stay = sum(w * s for w, s in zip(weights, stays, strict=True))
        spread = sum(w * (t - mean_time) ** 2 for w, t in zip(weights, times, strict=True))
        common = sum(
            w * (t - mean_time) * (s - mean_stay)
            for w, t, s in zip(weights, times, stays, strict=True)
        )
        return common / spread if spread > 0 else 0.0

    @property
    def is_stable(self) -> bool:
        """Return whether the request duration grew by no more than its random variation."""
        limit = max(_MAX_DRIFT, _DRIFT_NOISE / sqrt(max(self._total, 1)))
        return self.drift() <= limit and self.overload() is None

    def _early(self) -> tuple[Histogram, int]:
        """Return the durations of early responses, and the initial number of requests in flight."""
        early = self._stays(max(_MIN_EARLY, _EARLY_SHARE * self._total))
        return early, next((count for count in self.in_flight if count), 0)

    def _stays(self, requests: float) -> Histogram:
        """Return the durations of at least the first ``requests`` requests."""
        found = Histogram(bits=9)
        for bucket in self._buckets:
            found.merge(bucket.stay)
            if found.count >= requests:
                break
        return found

    def _in_flight(self) -> list[int]:
        rows, now = [], 0
        for bucket in self._buckets:
            now += bucket.begun - bucket.ended
            rows.append(now)
        return rows

    def _areas(self) -> list[int]:
        """Return the total time in flight of all requests in each bucket, in ns."""
        areas, before = [], 0
        for i, bucket in enumerate(self._buckets):
            end_ns = self._first + (i + 1) * self.width_ns
            area = before * self.width_ns
            area += bucket.begun * end_ns - bucket.begun_sum_ns
            area -= bucket.ended * end_ns - bucket.ended_sum_ns
            areas.append(area)
            before = self.in_flight[i]
        return areas

    def _closed(self) -> SteadyState | None:
        """Return the window in which all slots of a closed loop were in use.

        The rate follows from Little's law: requests in flight by mean duration. Counting responses
        instead would depend on where the window cuts the first and last wave of them.
        """
        slots = self._asked.concurrency
        if slots is None:
            self.reason = "the concurrency is unknown"
            return None
        if self._asked.has_pauses:
            self.reason = "the slots pause between their requests"
            return None
        areas = self._areas()
        full = [i for i, area in enumerate(areas) if area >= _FULL_SHARE * slots * self.width_ns]
        if not full:
            self.reason = "the requested concurrency was never reached"
            return None
        first, last = full[0], full[-1]
        window = self._buckets[first : last + 1]
        begun = sum(bucket.begun for bucket in window)
        if begun < _MIN_SERVED:
            self.reason = f"only {begun} requests started at the requested concurrency"
            return None
        in_flight = sum(areas[first : last + 1]) / (len(window) * self.width_ns)
        stay_s = sum(bucket.stay.total for bucket in window) / 1e9
        work = _joined(bucket.served_begun for bucket in window)
        return self._state((first, last), in_flight, begun, work, in_flight / max(stay_s, 1e-9))

    def _open(self) -> SteadyState | None:
        """Return the window between the end of the first responses and the last arrival."""
        fill_ns = self._start_ns + (self._stays(_MIN_EARLY).max or 0)
        first = -(-(fill_ns - self._first) // self.width_ns)
        last = (self._last_ns - self._first) // self.width_ns - 1
        window = self._buckets[first : last + 1] if first <= last else []
        work = _joined(bucket.served_ended for bucket in window)
        if work.requests < _MIN_SERVED:
            self.reason = "the run is too short for the duration of its responses"
            return None
        span_ns = len(window) * self.width_ns
        in_flight = sum(self._areas()[first : last + 1]) / span_ns
        return self._state((first, last), in_flight, work.requests, work, 1e9 / span_ns)

    def _state(
        self,
        window: tuple[int, int],
        in_flight: float,
        requests: int,
        work: ServedWork,
        factor: float,
    ) -> SteadyState:
        """Return the state of a window; ``factor`` converts work in the window to a rate."""
        first, last = window
        return SteadyState(
            start_ns=self._first + first * self.width_ns - self._start_ns,
            end_ns=self._first + (last + 1) * self.width_ns - self._start_ns,
            requests=requests,
            in_flight=in_flight,
            requests_per_second=factor * work.requests,
            tokens_per_second=factor * work.tokens,
            events_per_second=factor * work.events,
        )


def _joined(parts: Iterable[ServedWork]) -> ServedWork:
    whole = ServedWork()
    for part in parts:
        whole.merge(part)
    return whole
