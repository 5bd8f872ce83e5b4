"""A real ``undam gateway``, real simulators behind it, and readers that note when content came."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

CHAT = "/v1/chat/completions"
_START_S = 30.0
_CONTENT = re.compile(rb'"content":"[^"]')


class ListeningCommand:
    """A running command that says where it listens."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "undam", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], _START_S)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("listening on "):
            self.stop()
            raise AssertionError(f"{arguments[0]} said {line!r} and {self.log_text()!r}")
        self.url = line.split()[-1]
        self.port = urlsplit(self.url).port or 0

    def log_text(self) -> str:
        """What it wrote on standard error so far."""
        return self._log.read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and see that it does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of that name which have these labels."""
        found = 0.0
        for line in self.get("/-/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(
                f'{label}="{wanted}"' in series for label, wanted in labels.items()
            ):
                found += float(value)
        return found


StartUndam = Callable[..., ListeningCommand]


@contextlib.contextmanager
def undam_commands(folder: Path) -> Iterator[StartUndam]:
    """Gives ``run("sim", …)`` and ``run("gateway", …)``, on free ports unless they say others."""
    running: list[ListeningCommand] = []

    def run(command: str, *arguments: str) -> ListeningCommand:
        port = ["--port", "0"] if command == "sim" else ["--listen", "127.0.0.1:0"]
        given = [] if any(one in arguments for one in port[:1]) else port
        log = folder / f"{command}-{len(running)}.log"
        one = ListeningCommand(command, *given, *arguments, log=log)
        running.append(one)
        return one

    try:
        yield run
    finally:
        for one in reversed(running):
            one.stop()


@dataclass
class StreamResult:
    """One answer as it came. Moments in seconds of time.monotonic."""

    asked_at: float
    status: int = 0
    content_at: float | None = None
    events: int = 0
    done: bool = False
    whole: bool = False
    """The body's end was told, by its last chunk."""
    body: bytes = b""
    error: str = ""

    @property
    def ttft_s(self) -> float:
        return float("inf") if self.content_at is None else self.content_at - self.asked_at


async def request_stream(
    url: str, *, model: str = "m", headers: str = "", tokens: int = 0
) -> StreamResult:
    """Ask for a chat stream, over a connection of its own, and read it to its end."""
    parts, read = urlsplit(url), StreamResult(time.monotonic())
    said: dict[str, object] = {"model": model, "stream": True, "messages": []}
    if tokens:
        said["max_tokens"] = tokens
    body = json.dumps(said)
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
    """An open load: requests come at random, whatever became of those before."""
    rng, tasks = random.Random(seed), []
    due = time.monotonic()
    for _ in range(count):
        due += rng.expovariate(per_second)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(request_stream(url)))
    return list(await asyncio.gather(*tasks))


@dataclass
class ClosedLoad:
    """A closed load: so many clients, each with one request at a time, until told to stop."""

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
    """A quantile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
