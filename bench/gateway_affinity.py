"""Gateway affinity: prefix hit rate and TTFT of conversations over four simulated replicas.

A replica needs 40 ms for the first token, and 30 ms more for each message whose prefix it has not
cached. It has eight slots. The same conversations go through undam with affinity, undam without it
(two random choices) and nginx with a consistent hash of the session header, in alternation. In the
skewed load, 40 % of the clients share one prompt.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from bench.progress import Progress
from undam.lab.proxies import Missing, start_nginx
from undam.timing import quantile

REPLICAS = 4
SLOTS = 8
ROUNDS = 3
CLIENTS = 24
CONVERSATIONS = 4
"""Conversations per client in one round, of which the first is not measured."""
TURNS = 8
_TTFT_S = 0.04
_MISS_S = 0.03
_TOKENS = 8
_GAP_S = 0.01
_SHARED = 0.4
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_CONTENT = b'"content":"t'
_NAMES = ("undam, affinity prefix", "undam, two choices", "nginx, hash of the session")


def run() -> list[str]:
    """Measure with an even and with a skewed load; return one line per hop and load."""
    with _replicas() as urls:
        lines = [f"{REPLICAS} replicas with {SLOTS} slots, {CLIENTS} clients, {TURNS} turns"]
        progress = Progress(2 * ROUNDS * len(_NAMES))
        for skewed in (False, True):
            results: dict[str, list[tuple[float, float, float]]] = {}
            for number in range(ROUNDS):
                for name in _NAMES if number % 2 else reversed(_NAMES):
                    try:
                        with _hop(name, urls) as url:
                            result = asyncio.run(_load(url, skewed=skewed, seed=number))
                    except Missing as missing:
                        progress.finish_round(f"{name} is left out: {missing}")
                        continue
                    results.setdefault(name, []).append(result)
                    progress.finish_round(f"{name}, {_text(*result)}")
            lines.append("skewed load:" if skewed else "even load:")
            for name, measured in results.items():
                middle = [statistics.median(values) for values in zip(*measured, strict=True)]
                lines.append(f"  {name}: {_text(*middle)} (median of {len(measured)})")
    return lines


def _text(hits: float, p50_ms: float, p99_ms: float) -> str:
    return f"warm {hits:.1%}, TTFT p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms"


async def _load(url: str, *, skewed: bool, seed: int) -> tuple[float, float, float]:
    """Return the share of warm turns, and the p50 and p99 TTFT in ms."""
    parts = urlsplit(url)
    ttft_s: list[float] = []
    warm: list[bool] = []
    rng = random.Random(seed)

    async def turn(session: str, messages: list[dict[str, str]], *, measured: bool) -> None:
        body = json.dumps({"model": "m", "stream": True, "messages": messages})
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        began = time.monotonic()
        writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nX-Session-Id: {session}\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        data, first = b"", 0.0
        while piece := await reader.read(1 << 16):
            data += piece
            if not first and _CONTENT in data:
                first = time.monotonic() - began
        writer.transport.abort()
        if measured:
            ttft_s.append(first or float("inf"))
            warm.append(b"X-Warm: 1" in data)

    async def client(number: int) -> None:
        await asyncio.sleep(rng.random())
        shared = skewed and number < _SHARED * CLIENTS
        for conversation in range(CONVERSATIONS):
            session = "shared" if shared else f"{seed}-{number}-{conversation}"
            messages = [
                {"role": "system", "content": "You are a benchmark."},
                {"role": "user", "content": f"session {session}"},
            ]
            for step in range(TURNS):
                await turn(session, messages, measured=conversation > 0 and (step > 0 or shared))
                if not shared:
                    messages += [
                        {"role": "assistant", "content": "answer"},
                        {"role": "user", "content": f"question {step}"},
                    ]

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    ordered = sorted(ttft_s)
    return (
        sum(warm) / len(warm), quantile(ordered, 0.5) * 1000, quantile(ordered, 0.99) * 1000,
    )  # fmt: skip


def _hop(name: str, urls: list[str]) -> AbstractContextManager[str]:
    if name.startswith("nginx"):
        return _nginx(urls)
    return _gateway(urls, "off" if "two" in name else "prefix")


@contextlib.contextmanager
def _nginx(urls: list[str]) -> Iterator[str]:
    servers = "".join(f"server {urlsplit(url).netloc};" for url in urls)
    upstream = f"upstream replicas {{ hash $http_x_session_id consistent; {servers} }}"
    location = "proxy_pass http://replicas; proxy_http_version 1.1; proxy_buffering off;"
    # `start_nginx` adds a proxy_pass to another location, but this location matches all requests.
    location = f'location ~ . {{ {location} proxy_set_header Connection ""; }}'
    with start_nginx(urls[0], location=location, http=upstream) as proxy:
        yield proxy.url


@contextlib.contextmanager
def _gateway(urls: list[str], affinity: str) -> Iterator[str]:
    command = [sys.executable, "-m", "undam", "gateway", "--listen", "127.0.0.1:0"]
    command += ["--affinity", affinity, *(part for url in urls for part in ("--upstream", url))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().split()[-1]
        finally:
            process.terminate()


@contextlib.contextmanager
def _replicas() -> Iterator[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.gateway_affinity", "replicas"], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield [process.stdout.readline().decode().strip() for _ in range(REPLICAS)]
        finally:
            process.kill()


class _Replica:
    """Model server whose cache contains the prefixes of all requests that it has answered."""

    def __init__(self) -> None:
        self._cached: dict[str, int] = {}
        self._slots = asyncio.Semaphore(SLOTS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                async with self._slots:
                    await self._answer(json.loads(body)["messages"], writer)
        writer.transport.abort()

    async def _answer(self, messages: list[dict[str, str]], writer: asyncio.StreamWriter) -> None:
        session = messages[1]["content"]
        missing = max(0, len(messages) - self._cached.get(session, 0))
        self._cached[session] = max(len(messages), self._cached.get(session, 0))
        await asyncio.sleep(_TTFT_S + _MISS_S * missing)
        # Each turn of a conversation adds two messages.
        warm = missing <= 2
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Warm: %d\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" % warm
        )
        for _ in range(_TOKENS):
            event = b'data: {"choices":[{"index":0,"delta":{"content":"t"}}]}\n\n'
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(_GAP_S)
        done = b"data: [DONE]\n\n"
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(done), done))
        await writer.drain()


async def _serve_replicas() -> None:
    for _ in range(REPLICAS):
        server = await asyncio.start_server(_Replica().serve, "127.0.0.1", 0, backlog=1024)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["replicas"]:
        asyncio.run(_serve_replicas())
    else:
        print(*run(), sep="\n")
