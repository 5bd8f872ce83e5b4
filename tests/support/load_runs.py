"""Load tests made by hand: requests as they would have been measured, from a seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from undam.record import ContentRead, Measured, Outcome
from undam.timing import quantile

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
HOSTILE = '</script><script>alert(1)</script> "><img src=x onerror=alert(1)> \x1b[2J \u202e'


@dataclass(frozen=True, slots=True)
class Troubles:
    """Which share of requests, or of reads, has what."""

    errors: float = 0.0
    cuts: float = 0.0
    stalls: float = 0.0
    late_reads: float = 0.0
    together: float = 0.0


ALL_TROUBLES = Troubles(errors=0.015, cuts=0.006, stalls=0.01, late_reads=0.03, together=0.02)


def load_run(
    count: int, troubles: Troubles | None = None, *, streams: int = 50, warmup: int = 0
) -> list[Measured]:
    """A closed loop: TTFT lognormal(200, 0.3) ms, 64 tokens 20 ms apart."""
    rng = random.Random(1)
    free = [START_NS + i * 2 * MS for i in range(streams)]
    run = []
    for number in range(count):
        one = _request(number, heapq.heappop(free), troubles or Troubles(), rng)
        heapq.heappush(free, one.ended_ns + MS)
        run.append(_as_warmup(one) if number < warmup else one)
    return run


def _as_warmup(one: Measured) -> Measured:
    return replace(one, warmup=True)


def _request(number: int, intended: int, troubles: Troubles, rng: random.Random) -> Measured:
    started = intended + int(rng.expovariate(1 / 30_000))
    head = started + int(rng.uniform(0.2, 1.0) * MS)
    if rng.random() < troubles.errors:
        return Measured(
            number=number, worker=number % 2, intended_ns=intended, started_ns=started,
            head_ns=head, ended_ns=head + 50 * MS, outcome=Outcome.ERROR, kind="status-429",
            status=429, message=HOSTILE, retry_after_s=1.0,
        )  # fmt: skip
    reads = _reads(started + int(rng.lognormvariate(0, 0.3) * 200 * MS), troubles, rng)
    outcome, kind, message = Outcome.COMPLETE, "", ""
    if rng.random() < troubles.cuts:
        reads = reads[: len(reads) // 3]
        outcome, kind, message = Outcome.INCOMPLETE, "no-end", "ended without [DONE]"
    return Measured(
        number=number, worker=number % 2, intended_ns=intended, started_ns=started, head_ns=head,
        ended_ns=reads[-1].at_ns + MS, outcome=outcome, kind=kind, status=200, message=message,
        reads=tuple(reads), body_bytes=220 * 64,
    )  # fmt: skip


def _reads(first: int, troubles: Troubles, rng: random.Random) -> list[ContentRead]:
    reads, at, tokens = [], first, 0
    stall_at = 32 if rng.random() < troubles.stalls else None
    while tokens < 64:
        late = rng.random() < troubles.late_reads
        together = rng.random() < troubles.together
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


def contract_summary(run: Sequence[Measured]) -> dict[str, object]:
    """What `undam bench --json` promises of such a run, figure by figure."""
    counted = [one for one in run if not one.warmup]
    pairs = [pair for one in counted for pair in pairwise(one.reads)]
    e2e = [(one.ended_ns - one.intended_ns) / 1e6 for one in counted]
    seconds = (max(one.ended_ns for one in run) - run[0].intended_ns) / 1e9
    events = sum(one.events for one in counted)
    return {
        "schema": 1,
        "command": "bench",
        "requests": len(counted),
        "errors": sum(one.outcome is Outcome.ERROR for one in counted),
        "incomplete": sum(one.outcome is Outcome.INCOMPLETE for one in counted),
        "duration_s": seconds,
        "ttft_ms": _figures([(one.ttft_ns or 0) / 1e6 for one in counted if one.reads]),
        "itl_ms": _figures([(after.at_ns - before.at_ns) / 1e6 for before, after in pairs]),
        "tpot_ms": _figures([20.0]),
        "e2e_ms": _figures(e2e),
        "send_delay_ms": _figures([(one.send_delay_ns or 0) / 1e6 for one in counted]),
        "events_per_second": events / seconds,
        "tokens_per_second": events / seconds,
        "requests_per_second": len(counted) / seconds,
        "events_per_read": {"p50": 1, "p99": 3, "max": 3},
        "stalls": 9,
        "heartbeats": 0,
        "client": {"clock": "kernel", "late_ms_p99": 0.1, "uncertain_gaps": 9, "cpu_percent": 41},
        "findings": [],
    }


def _figures(values: list[float]) -> dict[str, float]:
    values = sorted(values)
    marks = {f"p{q:g}": quantile(values, q / 100) for q in (50, 90, 95, 99, 99.9)}
    mean = sum(values) / len(values)
    return {"count": len(values), "min": values[0], "mean": mean, **marks, "max": values[-1]}
