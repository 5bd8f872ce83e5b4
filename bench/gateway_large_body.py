"""Large request bodies during 100 streams: the longest token delay with nginx and with undam.

100 streams have gaps of 20 ms. In each measured window one more client sends chat requests with an
image of 10 MB. A proxy that parses or copies such a body in one step delays the tokens of all other
streams meanwhile. The result is the longest delay of a token with these bodies and without them;
nginx and undam alternate. Windows with CPU steal are repeated.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from bench import machine
from bench.gateway_events import request
from bench.gateway_load import StreamLoad
from bench.gateway_proxies import Hop, gateway, origins, start_nginx, through
from bench.progress import Progress
from undam.timing import quantile

STREAMS, GAP_MS, BODY_BYTES = 100, 20, 10_000_000
GOAL_MS = 15.0
"""Goal for the additional delay, beyond that of nginx."""
_ROUNDS = 5
_WINDOW_S = 3.0
_TRIES = 3

# Client program: it repeatedly sends its standard input to a port and reads part of the response.
_CLIENT = """
import socket, sys
body = sys.stdin.buffer.read()
while True:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
        sock.sendall(body)
        sock.recv(1000)
"""


def run() -> list[str]:
    """Return the longest delays with nginx and undam, and the difference between them."""
    cores = sorted(os.sched_getaffinity(0))
    growth: dict[str, list[float]] = {"nginx": [], "undam": []}
    lines = []
    progress = Progress(_ROUNDS * len(growth))
    try:
        os.sched_setaffinity(0, {cores[-1]})
        with origins(2) as urls:
            hops: dict[str, Callable[[], AbstractContextManager[Hop]]] = {
                "nginx": lambda: through(start_nginx(urls[0])),
                "undam": lambda: gateway(*urls),
            }
            for number in range(_ROUNDS):
                for name in growth if number % 2 else reversed(list(growth)):
                    os.sched_setaffinity(0, {cores[0]})
                    with hops[name]() as hop:
                        os.sched_setaffinity(0, {cores[-1]})
                        alone, beside = (
                            _longest_ms(hop, bodies=False),
                            _longest_ms(hop, bodies=True),
                        )
                    growth[name].append(beside - alone)
                    progress.finish_round(f"{name}: {alone:.1f} ms, {beside:.1f} ms with bodies")
    finally:
        os.sched_setaffinity(0, cores)
    for name, values in growth.items():
        lines.append(f"{name}: longest delay grows by {_spread(values)} ms")
    beyond = quantile(sorted(growth["undam"]), 0.5) - quantile(sorted(growth["nginx"]), 0.5)
    met = "within" if beyond <= GOAL_MS else "OVER"
    lines.append(f"undam grows by {beyond:.1f} ms more than nginx, {met} {GOAL_MS:g}")
    return lines


def _longest_ms(hop: Hop, *, bodies: bool) -> float:
    """Return the longest token delay, from the attempt with the least CPU steal."""
    results = []
    for _ in range(_TRIES):
        with StreamLoad(hop.url, STREAMS, tokens=10**6, gap_ms=GAP_MS) as load:
            load.read(1.0)
            with _bodies(hop) if bodies else contextlib.nullcontext():
                if bodies:
                    time.sleep(0.1)
                steal_s = machine.steal_s()
                delays = load.read(_WINDOW_S).delay
                steal_s = machine.steal_s() - steal_s
        results.append((steal_s, max(delays)))
        if steal_s <= machine.MAX_STEAL_S:
            break
    return min(results)[1]


@contextlib.contextmanager
def _bodies(hop: Hop) -> Iterator[None]:
    text = request(1, GAP_MS).decode()
    _, _, body = text.partition("\r\n\r\n")
    image = "data:image/png;base64," + "iVBORw0KGgo" * (BODY_BYTES // 11)
    body = body.replace("Say something", f"{image} Say something", 1)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench.test\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    command = [sys.executable, "-c", _CLIENT, str(urlsplit(hop.url).port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdin is not None
            process.stdin.write((head + body).encode())
            process.stdin.close()
            yield
        finally:
            process.kill()


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{quantile(ordered, 0.5):.1f} ({ordered[0]:.1f}-{ordered[-1]:.1f})"
