"""Do the client's arrival stamps tell the truth? 1, 50 and 200 streams of 50 events/s.

The simulator writes down when each event left, one clock read before its send(); the client reads
with the kernel's stamps on another core. What differs is the way through the kernel. The same
reads by the program's own clock stand beside it: that is what a client without kernel stamps says.
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

from undam.diagnosis.reading import read_exchange
from undam.probe.beacon import head_of
from undam.probe.fetch import finished
from undam.record import Exchange
from undam.timing import quantile
from undam.wire import ClientConfig, Request, open_stream

STREAMS = (1, 50, 200)
ROUNDS = 3
GAP_MS = 20
TOKENS = 150
_SPREAD_S = 0.5
_LIMIT_S = 60.0


def run() -> list[str]:
    """Three rounds of each: the median and the spread over the rounds."""
    lines = []
    for streams in STREAMS:
        rounds = [_play(streams) for _ in range(ROUNDS)]
        p50s, p99s = ([quantile(errors, q) for errors, _, _ in rounds] for q in (0.5, 0.99))
        own = [quantile(late, 0.99) for _, late, _ in rounds]
        kernel = all(stamped for _, _, stamped in rounds)
        lines.append(
            f"{streams:>3} streams: arrival - left p50 {_spread(p50s)} p99 {_spread(p99s)} ms "
            f"({'kernel' if kernel else 'USER'} clock; {len(rounds[0][0])} events a round); by the "
            f"program's own clock p99 {_spread(own)} ms; "
            f"{'under' if quantile(sorted(p99s), 0.5) < 0.1 else 'NOT UNDER'} 0.1 ms"
        )
    return lines


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{quantile(ordered, 0.5):.3f} ({ordered[0]:.3f}-{ordered[-1]:.3f})"


def _play(streams: int) -> tuple[list[float], list[float], bool]:
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
    rows = (json.loads(line) for line in truth.read_text().splitlines())
    left = {(r["id"], r["seq"]): r["left_ns"] for r in rows if r["kind"] == "event"}
    errors: list[float] = []
    own: list[float] = []
    for exchange in exchanges:
        head = head_of(exchange)
        assert head is not None
        for seen in read_exchange(exchange).contents:
            assert seen.due is not None
            error = seen.at_ns - left[head.id, seen.due.seq]
            errors.append(error / 1e6)
            own.append((error + exchange.arrivals[seen.read].late_ns) / 1e6)
    if len(errors) != len(exchanges) * TOKENS:
        raise RuntimeError(f"{len(errors)} events of {len(exchanges) * TOKENS} came")
    return sorted(errors), sorted(own), all(one.clock == "kernel" for one in exchanges)


if __name__ == "__main__":
    print(*run(), sep="\n")
