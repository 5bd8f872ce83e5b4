"""Accuracy of `undam check` arrival times, with 1, 50 and 200 streams of 50 events/s.

The simulator records the time just before it sends each event. The client runs on another core and
reads with kernel timestamps. The difference is the time in the kernel. The result also has the
difference for a client without kernel timestamps, which uses the time of its read. The last line
is about a worker of `undam bench` with 50 streams on one HTTP/2 connection.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.load_accuracy import HTTP2, run_rounds
from bench.progress import Progress
from undam.diagnosis.reading import read_exchange
from undam.probe.beacon import head_of
from undam.probe.fetch import finished
from undam.record import Exchange
from undam.timing import quantile
from undam.wire import ClientConfig, Request, open_stream

STREAMS = (1, 50, 200)
HTTP2_STREAMS = 50
HTTP2_LIMIT_MS = 0.2
ROUNDS = 3
GAP_MS = 20
TOKENS = 150
_SPREAD_S = 0.5
_LIMIT_S = 60.0


def run() -> list[str]:
    """Measure each number of streams in several rounds; return lines with medians and ranges."""
    progress = Progress((len(STREAMS) + 1) * ROUNDS)
    lines = []
    for streams in STREAMS:
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(_measure(streams))
            progress.finish_round(f"{streams} streams, p99 {quantile(rounds[-1][0], 0.99):.3f} ms")
        p50s, p99s = ([quantile(errors, q) for errors, _, _ in rounds] for q in (0.5, 0.99))
        read_p99s = [quantile(errors, 0.99) for _, errors, _ in rounds]
        kernel = all(stamped for _, _, stamped in rounds)
        clock = "kernel" if kernel else "USER"
        lines.append(
            f"{streams:>3} streams: send to arrival p50 {_spread(p50s)} p99 {_spread(p99s)} ms "
            f"({clock} clock; {len(rounds[0][0])} events per round); send to read p99 "
            f"{_spread(read_p99s)} ms; "
            f"{'under' if quantile(sorted(p99s), 0.5) < 0.1 else 'NOT UNDER'} 0.1 ms"
        )
    return [*lines, _http2_line(progress)]


def _http2_line(progress: Progress) -> str:
    """Compare the times of a load-test worker with the log of `bench.truth_origin_http2`."""
    rounds = run_rounds(HTTP2_STREAMS, progress, HTTP2)
    p50s, p99s = ([quantile(one.delays_ms, q) for one in rounds] for q in (0.5, 0.99))
    median = quantile(sorted(p99s), 0.5)
    return (
        f"undam bench, {HTTP2_STREAMS} streams on "
        f"{rounds[0].final.connections} HTTP/2 connection: send to arrival p50 {_spread(p50s)} p99 "
        f"{_spread(p99s)} ms ({len(rounds[0].delays_ms)} events per round); "
        f"{'within' if median <= HTTP2_LIMIT_MS else 'NOT WITHIN'} {HTTP2_LIMIT_MS} ms"
    )


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{quantile(ordered, 0.5):.3f} ({ordered[0]:.3f}-{ordered[-1]:.3f})"


def _measure(streams: int) -> tuple[list[float], list[float], bool]:
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.jsonl"
        args = f"-m undam sim --ttft 1000 --gap {GAP_MS} --tokens {TOKENS} --truth {truth}"
        with subprocess.Popen([sys.executable, *args.split()], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                url = process.stdout.readline().decode().split()[-1]
                cores = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(process.pid, {cores[0]})
                os.sched_setaffinity(0, {cores[-1]})
                gc.disable()
                try:
                    exchanges = asyncio.run(_read_all(url + "/v1/chat/completions", streams))
                finally:
                    gc.enable()
                    os.sched_setaffinity(0, cores)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
        return _compare(exchanges, truth)


async def _read_all(url: str, streams: int) -> list[Exchange]:
    async def one(index: int) -> Exchange:
        await asyncio.sleep(_SPREAD_S * index / streams)
        request = Request(url=url)
        async with await open_stream(request, ClientConfig(timeout_s=_LIMIT_S)) as stream:
            arrivals = tuple([arrival async for arrival in stream])
            return finished(stream, arrivals, hop="sim", api="openai-chat")

    return list(await asyncio.gather(*(one(index) for index in range(streams))))


def _compare(exchanges: list[Exchange], truth: Path) -> tuple[list[float], list[float], bool]:
    """Return the delays from sending to arrival and from sending to reading, and the clock type.

    Delays are in ms and sorted. The last value is true if arrival times are kernel timestamps.
    """
    rows = (json.loads(line) for line in truth.read_text().splitlines())
    sent_ns = {(r["id"], r["seq"]): r["left_ns"] for r in rows if r["kind"] == "event"}
    arrival_ms: list[float] = []
    read_ms: list[float] = []
    for exchange in exchanges:
        head = head_of(exchange)
        assert head is not None
        for event in read_exchange(exchange).contents:
            assert event.due is not None
            delay_ns = event.at_ns - sent_ns[head.id, event.due.seq]
            arrival_ms.append(delay_ns / 1e6)
            read_ms.append((delay_ns + exchange.arrivals[event.read].late_ns) / 1e6)
    if len(arrival_ms) != len(exchanges) * TOKENS:
        raise RuntimeError(f"{len(arrival_ms)} of {len(exchanges) * TOKENS} events arrived")
    return sorted(arrival_ms), sorted(read_ms), all(one.clock == "kernel" for one in exchanges)


if __name__ == "__main__":
    print(*run(), sep="\n")
