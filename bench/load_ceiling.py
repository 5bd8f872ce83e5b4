"""How much does one load worker take in on one core? Events of many streams, and whole requests.

The origin writes prepared bytes from the other core, each event of a stream a segment of its own,
and keeps to a rate. Reported is what came in, what it cost, and how late the worker was: above its
ceiling a worker is late, or several events share a read, and the report of a test says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from bench import machine
from bench.load_accuracy import request_for, work
from undam.loadtest.protocol import ClosedLoop, FinalReport, Job
from undam.record.request_result import Outcome, RequestResult
from undam.timing import quantile

RATES = (40_000, 80_000, 100_000)
STREAMS = 200
CONNECTIONS = 50
ROUNDS = 3
EVENTS_TARGET = 80_000
REQUESTS_TARGET = 15_000
_STREAM_S = 2.0
_REQUESTS = 40_000
_SPREAD_NS = 200_000_000


def run() -> list[str]:
    """Three rounds of each; the median by rate, with the spread."""
    lines = []
    for rate in RATES:
        rounds = [_flood(rate) for _ in range(ROUNDS)]
        goal = f", {_met(rounds, EVENTS_TARGET)} {EVENTS_TARGET}" if rate >= EVENTS_TARGET else ""
        lines.append(
            f"{rate} events/s offered on {STREAMS} streams: {_line(rounds, 'events')}{goal}"
        )
    rounds = [_one_token() for _ in range(ROUNDS)]
    lines.append(
        f"requests of one token on {CONNECTIONS} kept connections: {_line(rounds, 'requests')}, "
        f"{_met(rounds, REQUESTS_TARGET)} {REQUESTS_TARGET}"
    )
    return lines


@dataclass(frozen=True, slots=True)
class Round:
    """What one worker took in: rates are per second, times as named."""

    rate: float
    cpu_us: float
    judging_us: float
    late_p50_ms: float
    late_p99_ms: float
    slack_p99_ms: float
    events_per_read: float
    wait_s: float
    steal_s: float


def _line(rounds: list[Round], what: str) -> str:
    by_rate = sorted(rounds, key=lambda one: one.rate)
    typical = by_rate[len(by_rate) // 2]
    return (
        f"{typical.rate:.0f} {what}/s ({by_rate[0].rate:.0f}-{by_rate[-1].rate:.0f}), "
        f"{typical.cpu_us:.1f} us of CPU each and {typical.judging_us:.1f} us judging afterwards; "
        f"late p50 {typical.late_p50_ms:.2f} p99 {typical.late_p99_ms:.2f} ms, slack p99 "
        f"{typical.slack_p99_ms:.2f} ms, {typical.events_per_read:.2f} events a read; core taken "
        f"by others {typical.wait_s:.2f} s, by the hypervisor {typical.steal_s:.2f} s"
    )


def _met(rounds: list[Round], target: float) -> str:
    best = max(one.rate for one in rounds)
    # The origin keeps to its rate, so a little under it is all there was to take.
    return "at least" if best >= 0.98 * target else "UNDER"


def _flood(rate: int) -> Round:
    events = int(rate * _STREAM_S / STREAMS)
    slots = tuple(round(index * _SPREAD_NS / STREAMS) for index in range(STREAMS))
    return _play(
        (str(rate), str(events)), "/stream", ClosedLoop(slots=slots, count=STREAMS), of="events"
    )


def _one_token() -> Round:
    load = ClosedLoop(slots=(0,) * CONNECTIONS, count=_REQUESTS)
    return _play(("1", "1"), "/one", load, of="requests")


def _play(origin: tuple[str, str], path: str, load: ClosedLoop, *, of: str) -> Round:
    cores = sorted(os.sched_getaffinity(0))
    args = [sys.executable, "-m", "bench.load_origin", *origin]
    with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            os.sched_setaffinity(process.pid, {cores[0]})
            job = Job(
                worker=0,
                addresses=((2, ("127.0.0.1", port)),),
                requests=(request_for(path),),
                api="openai-chat",
                load=load,
                timeout_s=60,
            )
            steal_s = machine.steal_s(cores[-1])
            measured, final, wait_s = work(job, cores[-1])
            steal_s = machine.steal_s(cores[-1]) - steal_s
        finally:
            process.stdin.close()
            process.wait(timeout=30)
    bad = [one for one in measured if one.outcome is not Outcome.COMPLETE]
    if bad:
        raise RuntimeError(f"{len(bad)} requests failed: {bad[:1]}")
    return _round(measured, final, of, (wait_s, steal_s))


def _round(
    measured: list[RequestResult], final: FinalReport, of: str, taken: tuple[float, float]
) -> Round:
    reads = [read for one in measured for read in one.reads]
    events = sum(read.events for read in reads)
    count = events if of == "events" else len(measured)
    begun = min(one.started_ns or one.intended_ns for one in measured)
    late = sorted(read.late_ns / 1e6 for read in reads)
    slack = sorted(read.slack_ns / 1e6 for read in reads)
    return Round(
        rate=count / ((final.ended_ns - begun) / 1e9),
        cpu_us=final.cpu_ns / 1e3 / count,
        judging_us=final.analysis_ns / 1e3 / count,
        late_p50_ms=quantile(late, 0.5),
        late_p99_ms=quantile(late, 0.99),
        slack_p99_ms=quantile(slack, 0.99),
        events_per_read=events / len(reads),
        wait_s=taken[0],
        steal_s=taken[1],
    )


if __name__ == "__main__":
    print(*run(), sep="\n")
