"""Maximum throughput of one load-test worker on one core, in events and requests per second.

The origin runs on the other core and sends prepared bytes at a fixed rate, each event as a segment
of its own. The result has the measured rate, its CPU time, and how late the worker read. Above its
maximum, a worker reads late or gets several events per read, and a load test reports that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from bench import machine
from bench.load_accuracy import encode_request, run_job
from bench.progress import Progress
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
    """Return the rate of the median round for each load, and the range of all rates."""
    progress = Progress(ROUNDS * (len(RATES) + 1))
    lines = []
    for rate in RATES:
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(_measure_events(rate))
            progress.finish_round(f"{rounds[-1].rate:.0f} of {rate} events/s")
        goal = f", {_met(rounds, EVENTS_TARGET)} {EVENTS_TARGET}" if rate >= EVENTS_TARGET else ""
        lines.append(
            f"{rate} events/s offered on {STREAMS} streams: {_line(rounds, 'events')}{goal}"
        )
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(_measure_requests())
        progress.finish_round(f"{rounds[-1].rate:.0f} requests/s")
    lines.append(
        f"requests with one token on {CONNECTIONS} kept connections: {_line(rounds, 'requests')}, "
        f"{_met(rounds, REQUESTS_TARGET)} {REQUESTS_TARGET}"
    )
    return lines


@dataclass(frozen=True, slots=True)
class Round:
    """Result of one round, with rates per second."""

    rate: float
    cpu_us: float
    analysis_us: float
    late_p50_ms: float
    late_p99_ms: float
    slack_p99_ms: float
    events_per_read: float
    wait_s: float
    steal_s: float


def _line(rounds: list[Round], what: str) -> str:
    by_rate = sorted(rounds, key=lambda result: result.rate)
    typical = by_rate[len(by_rate) // 2]
    low, high = by_rate[0].rate, by_rate[-1].rate
    return (
        f"{typical.rate:.0f} {what}/s ({low:.0f}-{high:.0f}), {typical.cpu_us:.1f} us of CPU each "
        f"and {typical.analysis_us:.1f} us for analysis afterwards; reads late by p50 "
        f"{typical.late_p50_ms:.2f} p99 {typical.late_p99_ms:.2f} ms, slack p99 "
        f"{typical.slack_p99_ms:.2f} ms, {typical.events_per_read:.2f} events per read; runnable "
        f"but not scheduled {typical.wait_s:.2f} s, CPU steal {typical.steal_s:.2f} s"
    )


def _met(rounds: list[Round], target: float) -> str:
    best = max(result.rate for result in rounds)
    # The origin never exceeds its configured rate, so the measured rate is always slightly lower.
    return "at least" if best >= 0.98 * target else "UNDER"


def _measure_events(rate: int) -> Round:
    events = int(rate * _STREAM_S / STREAMS)
    slots = tuple(round(index * _SPREAD_NS / STREAMS) for index in range(STREAMS))
    return _measure(
        (str(rate), str(events)), "/stream", ClosedLoop(slots=slots, count=STREAMS), of="events"
    )


def _measure_requests() -> Round:
    load = ClosedLoop(slots=(0,) * CONNECTIONS, count=_REQUESTS)
    return _measure(("1", "1"), "/one", load, of="requests")


def _measure(origin: tuple[str, str], path: str, load: ClosedLoop, *, of: str) -> Round:
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
                requests=(encode_request(path),),
                api="openai-chat",
                load=load,
                timeout_s=60,
            )
            steal_s = machine.steal_s(cores[-1])
            results, final, wait_s = run_job(job, cores[-1])
            steal_s = machine.steal_s(cores[-1]) - steal_s
        finally:
            process.stdin.close()
            process.wait(timeout=30)
    failed = [result for result in results if result.outcome is not Outcome.COMPLETE]
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed: {failed[:1]}")
    return _round(results, final, of, (wait_s, steal_s))


def _round(
    results: list[RequestResult], final: FinalReport, of: str, disturbance_s: tuple[float, float]
) -> Round:
    reads = [read for result in results for read in result.reads]
    events = sum(read.events for read in reads)
    count = events if of == "events" else len(results)
    start_ns = min(result.started_ns or result.intended_ns for result in results)
    late = sorted(read.late_ns / 1e6 for read in reads)
    slack = sorted(read.slack_ns / 1e6 for read in reads)
    return Round(
        rate=count / ((final.ended_ns - start_ns) / 1e9),
        cpu_us=final.cpu_ns / 1e3 / count,
        analysis_us=final.analysis_ns / 1e3 / count,
        late_p50_ms=quantile(late, 0.5),
        late_p99_ms=quantile(late, 0.99),
        slack_p99_ms=quantile(slack, 0.99),
        events_per_read=events / len(reads),
        wait_s=disturbance_s[0],
        steal_s=disturbance_s[1],
    )


if __name__ == "__main__":
    print(*run(), sep="\n")
