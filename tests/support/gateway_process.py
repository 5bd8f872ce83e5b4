"""Gateway processes with simulators as upstreams; clients that record when content arrived."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from support.undam_command import ListeningCommand

CHAT = "/v1/chat/completions"
_CONTENT = re.compile(rb'"content":"[^"]')


StartUndam = Callable[..., ListeningCommand]


@contextlib.contextmanager
def undam_commands(folder: Path) -> Iterator[StartUndam]:
    """Yield a function that starts `undam sim` or `undam gateway`, by default on a free port."""
    running: list[ListeningCommand] = []

    def run(command: str, *arguments: str) -> ListeningCommand:
        port = ["--port", "0"] if command == "sim" else ["--listen", "127.0.0.1:0"]
        port_arguments = [] if any(one in arguments for one in port[:1]) else port
        log = folder / f"{command}-{len(running)}.log"
        one = ListeningCommand(command, *port_arguments, *arguments, log=log)
        running.append(one)
        return one

    try:
        yield run
    finally:
        for one in reversed(running):
            one.stop()


@dataclass
class StreamResult:
    """Received response; times are in seconds of time.monotonic()."""

    asked_at: float
    status: int = 0
    content_at: float | None = None
    events: int = 0
    done: bool = False
    whole: bool = False
    """True if the body ended with its last chunk."""
    body: bytes = b""
    error: str = ""

    @property
    def ttft_s(self) -> float:
        return float("inf") if self.content_at is None else self.content_at - self.asked_at


async def request_stream(
    url: str, *, model: str = "m", headers: str = "", tokens: int = 0
) -> StreamResult:
    """Request a chat stream on a new connection and read the stream to its end."""
    parts, read = urlsplit(url), StreamResult(time.monotonic())
    payload: dict[str, object] = {"model": model, "stream": True, "messages": []}
    if tokens:
        payload["max_tokens"] = tokens
    body = json.dumps(payload)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n{headers}"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError as error:
        read.error = str(error)
        return read
    try:
        writer.write((head + body).encode())
        data = b""
        while piece := await reader.read(1 << 16):
            data += piece
            if read.content_at is None and _CONTENT.search(data):
                read.content_at = time.monotonic()
    except OSError as error:
        read.error = str(error)
    finally:
        writer.transport.abort()
    if data:
        read.status = int(data.split(b" ", 2)[1])
    read.body = data
    read.events = data.count(b'"delta":{"content"')
    read.done = b"data: [DONE]" in data
    read.whole = data.endswith(b"0\r\n\r\n")
    return read


async def open_load(
    url: str, count: int, per_second: float, *, seed: int = 1
) -> list[StreamResult]:
    """Send requests at random times, regardless of responses (open loop)."""
    rng, tasks = random.Random(seed), []
    due = time.monotonic()
    for _ in range(count):
        due += rng.expovariate(per_second)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(request_stream(url)))
    return list(await asyncio.gather(*tasks))


@dataclass
class ClosedLoad:
    """Closed loop: each client sends one request at a time until ``stopped`` is set."""

    url: str
    clients: int
    tokens: int = 0
    reads: list[StreamResult] = field(default_factory=list)
    stopped: bool = False

    async def run(self) -> None:
        async def one() -> None:
            while not self.stopped:
                self.reads.append(await request_stream(self.url, tokens=self.tokens))

        await asyncio.gather(*(one() for _ in range(self.clients)))


def quantile(q: float, values: list[float]) -> float:
    """Return a quantile by the nearest-rank method."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
