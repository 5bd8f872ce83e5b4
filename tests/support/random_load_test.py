"""Random load-test results, generated from a seed."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, replace

from undam.record import ContentRead, Outcome, RequestResult

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
HOSTILE = '</script><script>alert(1)</script> "><img src=x onerror=alert(1)> \x1b[2J \u202e'


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Share of requests or reads that have each kind of fault."""

    errors: float = 0.0
    cuts: float = 0.0
    stalls: float = 0.0
    late_reads: float = 0.0
    together: float = 0.0


ALL_FAULTS = FaultRates(errors=0.015, cuts=0.006, stalls=0.01, late_reads=0.03, together=0.02)


def random_load_test(
    count: int, rates: FaultRates | None = None, *, streams: int = 50, warmup: int = 0
) -> list[RequestResult]:
    """Return a closed-loop run: TTFT lognormal(200, 0.3) ms, then 64 tokens at 20 ms intervals."""
    rng = random.Random(1)
    free = [START_NS + i * 2 * MS for i in range(streams)]
    run = []
    for number in range(count):
        one = _request(number, heapq.heappop(free), rates or FaultRates(), rng)
        heapq.heappush(free, one.ended_ns + MS)
        run.append(_as_warmup(one) if number < warmup else one)
    return run


def _as_warmup(one: RequestResult) -> RequestResult:
    return replace(one, warmup=True)


def _request(number: int, intended: int, rates: FaultRates, rng: random.Random) -> RequestResult:
    started = intended + int(rng.expovariate(1 / 30_000))
    head = started + int(rng.uniform(0.2, 1.0) * MS)
    if rng.random() < rates.errors:
        return RequestResult(
            number=number, worker=number % 2, intended_ns=intended, started_ns=started,
            head_ns=head, ended_ns=head + 50 * MS, outcome=Outcome.ERROR, kind="status-429",
            status=429, message=HOSTILE, retry_after_s=1.0,
        )  # fmt: skip
    reads = _reads(started + int(rng.lognormvariate(0, 0.3) * 200 * MS), rates, rng)
    outcome, kind, message = Outcome.COMPLETE, "", ""
    if rng.random() < rates.cuts:
        reads = reads[: len(reads) // 3]
        outcome, kind, message = Outcome.INCOMPLETE, "no-end", "ended without [DONE]"
    return RequestResult(
        number=number, worker=number % 2, intended_ns=intended, started_ns=started, head_ns=head,
        ended_ns=reads[-1].at_ns + MS, outcome=outcome, kind=kind, status=200, message=message,
        reads=tuple(reads), body_bytes=220 * 64,
    )  # fmt: skip


def _reads(first: int, rates: FaultRates, rng: random.Random) -> list[ContentRead]:
    reads, at, tokens = [], first, 0
    stall_at = 32 if rng.random() < rates.stalls else None
    while tokens < 64:
        late = rng.random() < rates.late_reads
        together = rng.random() < rates.together
        events = min(64 - tokens, 3 if late or together else 1)
        if tokens:
            at += int((20 * events + rng.gauss(0, 0.2)) * MS)
        if stall_at is not None and tokens >= stall_at:
            at, stall_at = at + 500 * MS, None
        late_ns = int(rng.uniform(2, 9) * MS) if late else int(rng.expovariate(1 / 40_000))
        slack = 20 * MS * (events - 1) if late else 30_000
        reads.append(ContentRead(at, slack, late_ns, events))
        tokens += events
    return reads
