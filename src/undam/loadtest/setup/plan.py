"""When each request of a load test is meant to start, and which worker sends it. Pure and seeded.

An open loop sends at times that were fixed beforehand, whatever the server does; a closed loop
keeps a number of requests under way, each slot starting its next one when the last is over.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from undam.errors import UsageError

Arrivals = Literal["poisson", "constant", "trace"]

# Between the starts of two slots. All at once would meet each other in the accept queue and the
# prefill, and that is no property of a load that has settled; five milliseconds are two hundred
# new connections a second, which no server minds.
_APART_NS = 5_000_000
# A thousand slots are then under way after two seconds, a usual answer's own length.
_LONGEST_RAMP_NS = 2_000_000_000

_MOST_WARMUP = 100
# More would not fit into memory with its results, and no test needs it in one run.
_MOST_REQUESTS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load of one run, as the user means it.

    Args:
        concurrency: slots of a closed loop; ``None`` is an open one.
        rate: requests per second of an open loop.
        trace_ns: starts of a replay, from the run's start.
        requests: how many count; the warm-up comes on top.
        duration_s: for how long requests are begun, the warm-up included; what is then under way
            is read to its end.
        warmup: the first so many are left out of all figures.
        ramp_s: from the first slot's start to the last one's; ``None``: 5 ms a slot, at most 2 s.
    """

    concurrency: int | None = None
    rate: float | None = None
    arrivals: Arrivals = "poisson"
    trace_ns: tuple[int, ...] = ()
    requests: int | None = None
    duration_s: float | None = None
    warmup: int = 0
    ramp_s: float | None = None
    seed: int = 0

    @property
    def is_open(self) -> bool:
        """Whether starts do not wait for answers."""
        return self.concurrency is None

    @property
    def total(self) -> int | None:
        """All requests, the warm-up among them; ``None``: as many as the duration allows."""
        return None if self.requests is None else self.requests + self.warmup


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerShare:
    """What one worker does of a load.

    Args:
        worker: its number, from 0, of ``workers``.
        offsets_ns: of an open loop the intended starts, of a closed one the first start of each
            slot; from the run's start, ascending.
        numbers: of an open loop, the place in the plan of each start.
        total: of a closed loop, how many requests; ``None``: until the duration is over.
        warmup: its first so many do not count.
    """

    worker: int
    workers: int
    offsets_ns: tuple[int, ...]
    numbers: tuple[int, ...] = ()
    total: int | None = None
    warmup: int = 0


def default_warmup(load: Load) -> int:
    """One request a slot, or one second of the rate; at most a tenth of the run, and 100.

    What comes first meets cold connections and caches. A trace is replayed as it is: none.
    """
    if load.trace_ns:
        return 0
    first = load.concurrency if load.concurrency is not None else math.ceil(load.rate or 0)
    expected = load.requests
    if load.rate is not None and load.duration_s is not None:
        expected = math.ceil(load.rate * load.duration_s)
    tenth = _MOST_WARMUP if expected is None else math.ceil(expected / 10)
    return min(first, tenth, _MOST_WARMUP)


def split_load(load: Load, workers: int) -> tuple[WorkerShare, ...]:
    """The load split among ``workers``; together they are exactly the load.

    A schedule is made once and dealt in turn, so a Poisson process stays one, and each request
    keeps its intended start. A worker of a closed loop has slots, and requests in proportion.

    Raises:
        UsageError: there is nothing to send, or more than a run can hold.
    """
    return _open(load, workers) if load.is_open else _closed(load, workers)


def starts_ns(load: Load) -> Iterator[int]:
    """The intended starts of an open loop, from the run's start, without their end."""
    if load.trace_ns:
        yield from load.trace_ns
        return
    assert load.rate is not None
    if load.arrivals == "constant":
        number = 0
        while True:
            yield round(number * 1e9 / load.rate)
            number += 1
    rng = random.Random(f"arrivals {load.seed}")  # noqa: S311 (a schedule, no secret)
    at = 0.0
    while True:
        # The first request leaves at once: an empty wait would only lengthen the run.
        yield round(at)
        at += rng.expovariate(load.rate) * 1e9


def _open(load: Load, workers: int) -> tuple[WorkerShare, ...]:
    starts = list(islice(_until_end(load), min(load.total or _MOST_REQUESTS + 1, 1 << 62)))
    if len(starts) > _MOST_REQUESTS:
        raise UsageError(f"more than {_MOST_REQUESTS} requests in one run: shorten it")
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
    for at in starts_ns(load):
        if at >= end_ns:
            return
        yield at


def _closed(load: Load, workers: int) -> tuple[WorkerShare, ...]:
    assert load.concurrency is not None
    slots = load.concurrency
    if load.total is not None:
        # A slot without a request would only be a number in a report.
        slots = min(slots, load.total)
    ramp_ns = _ramp_ns(load, slots)
    offsets = [round(slot * ramp_ns / slots) for slot in range(slots)]
    dealt = [tuple(offsets[worker::workers]) for worker in range(workers)]
    weights = [len(some) for some in dealt]
    totals = [None] * workers if load.total is None else split(load.total, weights)
    warmups = split(load.warmup, weights)
    return tuple(
        WorkerShare(worker=worker, workers=workers, offsets_ns=some, total=total, warmup=warmup)
        for worker, (some, total, warmup) in enumerate(zip(dealt, totals, warmups, strict=True))
    )


def _ramp_ns(load: Load, slots: int) -> float:
    if load.ramp_s is not None:
        return load.ramp_s * 1e9
    return min(slots * _APART_NS, _LONGEST_RAMP_NS)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in whole parts proportional to ``weights``, which add up to it exactly."""
    whole = sum(weights)
    ends, seen = [], 0
    for weight in weights:
        seen += weight
        ends.append(total * seen // whole)
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
