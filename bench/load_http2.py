"""Cost of a load test over HTTP/2, relative to the HTTP/1.1 engine and to h2load.

Events: the CPU time of a worker per event, with the same 200 streams of 50 events/s over both
versions. Requests: nghttpd serves a response with one token, and a worker and h2load each keep 50
requests in flight on one connection. Both take turns on the same core.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.load_accuracy import HTTP1, HTTP2, http2_settings, run_job, run_rounds
from bench.progress import Progress
from bench.truth_origin import event
from undam.loadtest.protocol import ClosedLoop, Job
from undam.record.request_result import Outcome
from undam.timing import quantile

ROUNDS = 3
EVENT_STREAMS = 200
REQUEST_STREAMS = 50
REQUESTS = 5000
_LIMIT_S = 60
_PEERS = ("h2load", "nghttpd")
_RATE = re.compile(r"finished in .*?, ([\d.]+) req/s")
_RESPONSE = event({"content": "token "}) + event({}, "stop") + b"data: [DONE]\n\n"


def run() -> list[str]:
    """Return one result line for events and one for requests."""
    progress = Progress(3 * ROUNDS)
    return [_events_line(progress), _requests_line(progress)]


def _events_line(progress: Progress) -> str:
    costs_us = {}
    for origin in (HTTP1, HTTP2):
        rounds = run_rounds(EVENT_STREAMS, progress, origin)
        costs_us[origin] = sorted(
            one.final.cpu_ns / 1e3 / sum(result.events for result in one.results) for one in rounds
        )
    http1, http2 = (quantile(costs_us[origin], 0.5) for origin in (HTTP1, HTTP2))
    return (
        f"{EVENT_STREAMS} streams of 50 events/s: {http2:.1f} us of CPU per event over HTTP/2, "
        f"{http1:.1f} us over HTTP/1.1, ratio {http2 / http1:.2f}"
    )


def _requests_line(progress: Progress) -> str:
    missing = [name for name in _PEERS if shutil.which(name) is None]
    if missing:
        return (
            f"requests: not measured, {' and '.join(missing)} not found (apt-get install "
            f"nghttp2-client nghttp2-server)"
        )
    ours, theirs = [], []
    with _server() as port:
        for _ in range(ROUNDS):
            ours.append(_worker_rate(port))
            theirs.append(_h2load_rate(port))
            progress.finish_round(f"{ours[-1]:.0f} and {theirs[-1]:.0f} requests/s")
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    return (
        f"requests with one token, {REQUEST_STREAMS} in flight on one HTTP/2 connection: "
        f"{quantile(sorted(ours), 0.5):.0f}/s, h2load {quantile(sorted(theirs), 0.5):.0f}/s, ratio "
        f"{quantile(ratios, 0.5):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f})"
    )


@contextmanager
def _server() -> Iterator[int]:
    """Run nghttpd, which serves the response as the file ``one``."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "one").write_bytes(_RESPONSE)
        args = ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", folder, str(port)]
        with subprocess.Popen(args, stdout=subprocess.DEVNULL) as process:
            try:
                os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
                _wait_until_listening(port)
                yield port
            finally:
                process.terminate()


def _wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _worker_rate(port: int) -> float:
    settings = http2_settings("/one", REQUEST_STREAMS)
    fields = ((b":method", b"GET"), *settings.fields[1:])
    job = Job(
        worker=0,
        addresses=((2, ("127.0.0.1", port)),),
        requests=(b"",),
        api="openai-chat",
        load=ClosedLoop(slots=(0,) * REQUEST_STREAMS, count=REQUESTS),
        timeout_s=_LIMIT_S,
        http2=replace(settings, fields=fields),
    )
    results, final, _ = run_job(job, max(os.sched_getaffinity(0)))
    failed = [result for result in results if result.outcome is not Outcome.COMPLETE]
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed: {failed[:1]}")
    return len(results) / ((final.ended_ns - final.started_ns) / 1e9)


def _h2load_rate(port: int) -> float:
    core = max(os.sched_getaffinity(0))
    url = f"http://127.0.0.1:{port}/one"
    args = ["h2load", "-n", str(REQUESTS), "-c", "1", "-m", str(REQUEST_STREAMS), url]
    done = subprocess.run(
        ["taskset", "-c", str(core), *args],
        capture_output=True, text=True, timeout=_LIMIT_S, check=True,
    )  # fmt: skip
    match = _RATE.search(done.stdout)
    if match is None:
        raise RuntimeError(f"h2load did not print a rate: {done.stdout[-200:]}")
    return float(match[1])


if __name__ == "__main__":
    print(*run(), sep="\n")
