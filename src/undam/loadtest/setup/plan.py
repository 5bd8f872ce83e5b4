"""Plan of a load test: the intended start and the worker of each request. No I/O.

An open loop sends at times fixed in advance, regardless of the server. A closed loop keeps a
number of requests in flight: each slot starts its next request when the previous one has ended.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from undam.errors import UsageError

Arrivals = Literal["poisson", "constant", "gamma", "trace"]

# Time between the first starts of two slots. If all slots started at once, they would compete for
# the accept queue and the prefill, unlike a steady load. At 5 ms, 200 connections are opened per
# second, which any server can handle.
_SLOT_INTERVAL_NS = 5_000_000
# Limit of the default ramp: about the length of a typical response.
_MAX_RAMP_NS = 2_000_000_000

_MAX_WARMUP = 100
# The plan and the results of more requests would not fit into memory.
_MAX_REQUESTS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load of one run.

    Args:
        concurrency: number of slots of a closed loop; ``None`` for an open loop.
        rate: requests per second of an open loop.
        rate_end: rate at the end of ``duration_s``, to which the rate changes linearly; ``None``
            means that it is constant.
        burstiness: shape of gamma arrivals: 1 is a Poisson process; lower values are burstier.
        max_concurrency: maximum number of requests of an open loop in flight; others wait until
            one ends.
        trace_ns: start times of a replay, relative to the start of the run.
        requests: number of measured requests; warm-up requests are extra.
        duration_s: how long new requests are started, including warm-up; requests in flight are
            then read to their end.
        warmup: number of requests at the start that are excluded from all metrics.
        ramp_s: time during which the slots are started; ``None`` means 5 ms per slot, at most 2 s.
    """

    concurrency: int | None = None
    rate: float | None = None
    rate_end: float | None = None
    burstiness: float = 1.0
    max_concurrency: int | None = None
    arrivals: Arrivals = "poisson"
    trace_ns: tuple[int, ...] = ()
    requests: int | None = None
    duration_s: float | None = None
    warmup: int = 0
    ramp_s: float | None = None
    seed: int = 0

    @property
    def is_open(self) -> bool:
        """Return whether start times are independent of responses."""
        return self.concurrency is None

    @property
    def total(self) -> int | None:
        """Number of requests including warm-up; ``None`` if only the duration limits it."""
        return None if self.requests is None else self.requests + self.warmup


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerShare:
    """One worker's share of a load.

    Args:
        worker: index of the worker.
        workers: number of workers.
        offsets_ns: intended starts of an open loop, or the first start of each slot of a closed
            loop; relative to the start of the run, ascending.
        numbers: index in the whole plan of each start; open loops only.
        total: number of requests; ``None`` if only the duration limits it.
        warmup: number of warm-up requests; they are the first ones.
    """

    worker: int
    workers: int
    offsets_ns: tuple[int, ...]
    numbers: tuple[int, ...] = ()
    total: int | None = None
    warmup: int = 0


def default_warmup(load: Load) -> int:
    """Return the number of warm-up requests: one per slot, or those due in the first second.

    The maximum is 10 % of the run, or 100 requests if that is lower. The first requests meet cold
    connections and caches. A replayed trace has no warm-up.
    """
    if load.trace_ns:
        return 0
    first = load.concurrency if load.concurrency is not None else math.ceil(load.rate or 0)
    expected = load.requests
    if load.rate is not None and load.duration_s is not None:
        expected = math.ceil(load.rate * load.duration_s)
    tenth = _MAX_WARMUP if expected is None else math.ceil(expected / 10)
    return min(first, tenth, _MAX_WARMUP)


def split_load(load: Load, workers: int) -> tuple[WorkerShare, ...]:
    """Split a load among ``workers``.

    The schedule of an open loop is generated once and distributed round-robin, so the requests of
    all workers together are still one Poisson process. The slots of a closed loop are distributed
    the same way, and its requests in proportion to the slots.

    Raises:
        UsageError: the load has more requests than a run supports.
    """
    return _split_open(load, workers) if load.is_open else _split_closed(load, workers)


def start_offsets_ns(load: Load) -> Iterator[int]:
    """Yield the intended starts of an open loop, relative to the start of the run.

    The sequence is infinite, except for a trace.
    """
    if load.trace_ns:
        yield from load.trace_ns
        return
    assert load.rate is not None
    for count in _arrival_counts(load):
        yield _time_of(count, load)


def _arrival_counts(load: Load) -> Iterator[float]:
    """Yield, for each arrival, the expected number of arrivals before it; the first value is 0."""
    rng = random.Random(f"arrivals {load.seed}")  # noqa: S311 (a schedule, not a secret)
    at = 0.0
    while True:
        # The first request starts at once, because a wait would only lengthen the run.
        yield at
        if load.arrivals == "constant":
            at += 1
        elif load.arrivals == "gamma":
            at += rng.gammavariate(load.burstiness, 1 / load.burstiness)
        else:
            at += rng.expovariate(1)


def _time_of(count: float, load: Load) -> int:
    """Return the time in ns by which ``count`` arrivals are expected."""
    assert load.rate is not None
    if load.rate_end is None or load.duration_s is None or load.rate_end == load.rate:
        return round(count * 1e9 / load.rate)
    # The expected number of arrivals is rate * t + slope * t**2 / 2. It never exceeds the number
    # expected at the end.
    slope = (load.rate_end - load.rate) / load.duration_s
    root = load.rate**2 + 2 * slope * count
    if root <= load.rate_end**2 and slope < 0:
        return round(load.duration_s * 1e9)
    return round((math.sqrt(root) - load.rate) / slope * 1e9)


def _split_open(load: Load, workers: int) -> tuple[WorkerShare, ...]:
    starts = list(islice(_until_end(load), min(load.total or _MAX_REQUESTS + 1, 1 << 62)))
    if len(starts) > _MAX_REQUESTS:
        raise UsageError(f"more than {_MAX_REQUESTS} requests in one run: shorten the run")
    return tuple(
        WorkerShare(
            worker=worker,
            workers=workers,
            offsets_ns=tuple(starts[worker::workers]),
            numbers=tuple(range(worker, len(starts), workers)),
            total=len(starts[worker::workers]),
            warmup=len(range(worker, load.warmup, workers)),
        )
        for worker in range(workers)
    )


def _until_end(load: Load) -> Iterator[int]:
    end_ns = math.inf if load.duration_s is None else load.duration_s * 1e9
    for at in start_offsets_ns(load):
        if at >= end_ns:
            return
        yield at


def _split_closed(load: Load, workers: int) -> tuple[WorkerShare, ...]:
    assert load.concurrency is not None
    slots = load.concurrency
    if load.total is not None:
        # There is no use for more slots than requests.
        slots = min(slots, load.total)
    ramp_ns = _ramp_ns(load, slots)
    offsets = [round(slot * ramp_ns / slots) for slot in range(slots)]
    by_worker = [tuple(offsets[worker::workers]) for worker in range(workers)]
    weights = [len(starts) for starts in by_worker]
    totals = [None] * workers if load.total is None else proportional_parts(load.total, weights)
    warmups = proportional_parts(load.warmup, weights)
    return tuple(
        WorkerShare(worker=worker, workers=workers, offsets_ns=starts, total=total, warmup=warmup)
        for worker, (starts, total, warmup) in enumerate(
            zip(by_worker, totals, warmups, strict=True)
        )
    )


def session_share(
    sessions: Sequence[tuple[int, int]], worker: int, workers: int
) -> tuple[tuple[int, int], ...]:
    """Return one worker's conversations; if there are too few to divide, return all of them."""
    return tuple(sessions[worker::workers] or sessions)


def _ramp_ns(load: Load, slots: int) -> float:
    if load.ramp_s is not None:
        return load.ramp_s * 1e9
    return min(slots * _SLOT_INTERVAL_NS, _MAX_RAMP_NS)


def proportional_parts(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` into integers in proportion to ``weights``; their sum is ``total``."""
    whole = sum(weights)
    ends, cumulative = [], 0
    for weight in weights:
        cumulative += weight
        ends.append(total * cumulative // whole)
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
