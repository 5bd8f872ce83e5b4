"""Model servers of known capacity, and results of open loops against them in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from undam.metrics import Summary, summarize
from undam.metrics.validity.asked import RequestedLoad
from undam.record import ContentRead, Outcome, RequestResult

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS
OPEN_LOOP = RequestedLoad(is_open=True)

Server = Callable[[float, float], tuple[float, bool]]
"""Take the arrival time and the rate so far in seconds; return the time in the server and whether
the request was served."""


def queueing(capacity: float) -> Server:
    """Serve one request after another, each in ``1 / capacity`` seconds."""
    free = 0.0

    def serve(at_s: float, _: float) -> tuple[float, bool]:
        nonlocal free
        free = max(at_s, free) + 1 / capacity
        return free - at_s, True

    return serve


def refusing(capacity: float, most_wait_s: float = 0.2) -> Server:
    """Serve like ``queueing``, but refuse a request that would wait longer than ``most_wait_s``."""
    free = 0.0

    def serve(at_s: float, _: float) -> tuple[float, bool]:
        nonlocal free
        if free - at_s > most_wait_s:
            return 0.001, False
        free = max(at_s, free) + 1 / capacity
        return free - at_s, True

    return serve


def rate_limited(capacity: float, burst: float = 1.0) -> Server:
    """Serve immediately up to ``capacity`` per second, with ``burst`` seconds of credit."""
    credit, last = capacity * burst, 0.0

    def serve(at_s: float, _: float) -> tuple[float, bool]:
        nonlocal credit, last
        credit = min(capacity * burst, credit + (at_s - last) * capacity)
        last = at_s
        if credit < 1:
            return 0.001, False
        credit -= 1
        return 0.05, True

    return serve


def degrading(capacity: float) -> Server:
    """Serve like ``queueing``, but slow each request down by 8 % per second of waiting time."""
    free = 0.0

    def serve(at_s: float, _: float) -> tuple[float, bool]:
        nonlocal free
        wait_s = max(0.0, free - at_s)
        free = max(at_s, free) + (1 + 0.08 * wait_s) / capacity
        return free - at_s, True

    return serve


def open_loop(
    server: Server, rate: float, duration_s: float, seed: int = 0, *, answer_ms: float = 20
) -> Iterator[RequestResult]:
    """Yield results for Poisson arrivals; each answer's second token follows ``answer_ms`` later.

    With an ``answer_ms`` of 0, answers have one token.
    """
    rng = random.Random(seed)
    at_s, number = 0.0, 0
    while at_s < duration_s:
        stay_s, is_served = server(at_s, rate)
        intended_ns = START_NS + round(at_s * 1e9)
        first_ns = intended_ns + round(stay_s * 1e9)
        last_ns = first_ns + round(answer_ms * MS)
        times = (first_ns, last_ns) if answer_ms else (first_ns,)
        reads = tuple(ContentRead(at_ns, 50_000, 10_000, 1) for at_ns in times)
        yield RequestResult(
            number=number, worker=0, intended_ns=intended_ns, started_ns=intended_ns + 30_000,
            ended_ns=last_ns if is_served else first_ns,
            outcome=Outcome.COMPLETE if is_served else Outcome.ERROR,
            kind="" if is_served else "status-429", status=200 if is_served else 429,
            reads=reads if is_served else (), tokens=len(reads) if is_served else None,
        )  # fmt: skip
        number += 1
        at_s += rng.expovariate(rate)


def open_loop_summary(
    server: Server, rate: float, duration_s: float, seed: int = 0, *, answer_ms: float = 20
) -> Summary:
    """Return the summary of an ``open_loop`` run."""
    return summarize(open_loop(server, rate, duration_s, seed, answer_ms=answer_ms))
