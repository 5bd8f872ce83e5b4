"""Delay from send to receipt of an event with undam.client and with other libraries' iterators.

A server in another process sends an event of 100 bytes every 20 ms. Each event contains the time
just before its send. The delay lasts from there until the program has the event, so it includes the
time in the kernel.

Three readers run at the same time, a third of a gap apart, so that other load on the machine
affects all of them: undam.client, the line iterator of the library, and a plain socket as the lower
bound. Both processes request real-time priority, to reduce the effect of other programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from bench.progress import Progress
from undam.client import astream, stream
from undam.timing import quantile

EVENTS = 200
GAP_S = 0.02
EVENT_BYTES = 100
LIMIT_MS = 2.0
_LIMIT_S = 60.0

BODIES = ("chunked", "close", "chunked-gzip", "close-gzip")

_SERVER = f"""
import socket, sys, threading, time, zlib

def event():
    text = b"data: %d " % time.time_ns()
    return text + b"x" * ({EVENT_BYTES} - 2 - len(text)) + b"\\n\\n"

def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b""
    while b"\\r\\n\\r\\n" not in request:
        request += connection.recv(65536)
    form = request.split()[1].decode().strip("/")
    chunked, coded = form.startswith("chunked"), form.endswith("gzip")
    head = "HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n"
    head += "Transfer-Encoding: chunked\\r\\n" if chunked else "Connection: close\\r\\n"
    head += "Content-Encoding: gzip\\r\\n" if coded else ""
    connection.sendall(head.encode() + b"\\r\\n")
    coder = zlib.compressobj(wbits=31)
    def send(data):
        connection.sendall(b"%x\\r\\n%b\\r\\n" % (len(data), data) if chunked else data)
    due = time.monotonic() + 0.2
    for number in range({EVENTS}):
        time.sleep(max(0, due + number * {GAP_S} - time.monotonic()))
        data = event()
        send(coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH) if coded else data)
    if coded:
        send(coder.flush())
    if chunked:
        connection.sendall(b"0\\r\\n\\r\\n")
    connection.close()

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

Lines = Iterator[str | bytes]
Read = Callable[[str], list[float]]


def run() -> list[str]:
    """Return one result line for each combination of library and body type."""
    names = ("httpx", "httpx2", "requests", "urllib3", "aiohttp")
    lines = [", ".join(f"{name} {version(name)}" for name in names)]
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            base = f"http://127.0.0.1:{int(process.stdout.readline())}/"
            os.sched_setaffinity(process.pid, {cores[0]})
            os.sched_setaffinity(0, {cores[-1]})
            for pid in (process.pid, 0):
                _set_scheduler(pid, os.SCHED_RR, 1)
            readers = _readers()
            progress = Progress(len(readers) * len(BODIES))
            for name, ours, theirs in readers:
                for body in BODIES:
                    lines.append(f"{name}, {body}: {_compare(ours, theirs, base + body)}")
                    progress.finish_round(f"{name}, {body}")
        finally:
            _set_scheduler(0, os.SCHED_OTHER, 0)
            os.sched_setaffinity(0, cores)
            process.kill()
    return lines


def _set_scheduler(pid: int, policy: int, priority: int) -> None:
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, policy, os.sched_param(priority))


def _compare(ours: Read, theirs: Read, url: str) -> str:
    gc.collect()
    gc.disable()
    try:
        with ThreadPoolExecutor(3) as threads:
            runs = []
            for read in (ours, theirs, _plain_socket):
                runs.append(threads.submit(read, url))
                time.sleep(GAP_S / 3)
            events, lines, plain = (sorted(run.result()) for run in runs)
    finally:
        gc.enable()
    # The plain socket counts reads. After a pause, one read may contain several events.
    counts = {len(events), len(lines)}
    if counts != {EVENTS}:
        raise RuntimeError(f"received {counts} events instead of {EVENTS}")
    met = "under" if quantile(events, 0.99) < LIMIT_MS else "NOT UNDER"
    return (
        f"undam.client {_text(events)}, {met} {LIMIT_MS:g} ms; "
        f"lines {_text(lines)}; plain socket {_text(plain)}"
    )


def _plain_socket(url: str) -> list[float]:
    """Return the delay of each read that contains the start of an event, from its send time."""
    host, _, rest = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    delays = []
    # Use the same framing without compression, because this reader does not decompress.
    form = rest.removesuffix("-gzip")
    with socket.create_connection((name, int(port)), _LIMIT_S) as connection:
        connection.sendall(f"GET /{form} HTTP/1.1\r\n\r\n".encode())
        while data := connection.recv(65536):
            now = time.time_ns()
            _, found, text = data.partition(b"data: ")
            if found:
                delays.append((now - int(text.split(maxsplit=1)[0])) / 1e6)
    return delays


def _text(delays: list[float]) -> str:
    return f"p50 {quantile(delays, 0.5):.2f} p99 {quantile(delays, 0.99):.2f} ms"


def _delay_ms(data: str) -> float:
    now = time.time_ns()
    return (now - int(data.split(maxsplit=1)[0])) / 1e6


def _of_lines(lines: Lines) -> list[float]:
    """Read line by line and return the delay of each line that begins with ``data:``."""
    delays = []
    for line in lines:
        now = time.time_ns()
        text = line.decode() if isinstance(line, bytes) else line
        if text.startswith("data:"):
            delays.append((now - int(text.split()[1])) / 1e6)
    return delays


def _of_events(response: object) -> list[float]:
    return [_delay_ms(event.data) for event in stream(response)]


def _readers() -> list[tuple[str, Read, Read]]:
    import httpx  # noqa: PLC0415 (so that the error names a missing library)
    import httpx2  # noqa: PLC0415
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    def through_httpx(library: Any, take: Callable[[Any], list[float]]) -> Read:
        def read(url: str) -> list[float]:
            with library.stream("GET", url, timeout=_LIMIT_S) as response:
                return take(response)

        return read

    def through_requests(take: Callable[[Any], list[float]]) -> Read:
        def read(url: str) -> list[float]:
            with requests.get(url, stream=True, timeout=_LIMIT_S) as response:
                return take(response)

        return read

    def through_urllib3(take: Callable[[Any], list[float]]) -> Read:
        def read(url: str) -> list[float]:
            with urllib3.PoolManager() as pool:
                response = pool.request("GET", url, preload_content=False, timeout=_LIMIT_S)
                return take(response)

        return read

    def httpx_lines(response: Any) -> list[float]:
        return _of_lines(response.iter_lines())

    return [
        ("httpx", through_httpx(httpx, _of_events), through_httpx(httpx, httpx_lines)),
        ("httpx2", through_httpx(httpx2, _of_events), through_httpx(httpx2, httpx_lines)),
        ("httpx async", _async_httpx(ours=True), _async_httpx(ours=False)),
        ("requests", through_requests(_of_events),
         through_requests(lambda response: _of_lines(response.iter_lines()))),
        ("urllib3", through_urllib3(_of_events),
         through_urllib3(lambda response: _of_lines(_split(response.stream(decode_content=True))))),
        ("aiohttp", _aiohttp(ours=True), _aiohttp(ours=False)),
    ]  # fmt: skip


def _split(pieces: Iterator[bytes]) -> Lines:
    """Yield lines from urllib3's stream(). urllib3 has no line iterator for compressed bodies."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _run(read: Callable[[str], Awaitable[list[float]]]) -> Read:
    async def bounded(url: str) -> list[float]:
        async with asyncio.timeout(_LIMIT_S):
            return await read(url)

    return lambda url: asyncio.run(bounded(url))


def _async_httpx(*, ours: bool) -> Read:
    import httpx  # noqa: PLC0415

    async def read(url: str) -> list[float]:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
            if ours:
                return [_delay_ms(event.data) async for event in astream(response)]
            return await _of_async_lines(response.aiter_lines())

    return _run(read)


def _aiohttp(*, ours: bool) -> Read:
    import aiohttp  # noqa: PLC0415

    async def read(url: str) -> list[float]:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            if ours:
                return [_delay_ms(event.data) async for event in astream(response)]
            return await _of_async_lines(response.content)

    return _run(read)


async def _of_async_lines(lines: AsyncIterable[Any]) -> list[float]:
    delays = []
    async for line in lines:
        delays += _of_lines(iter([line]))
    return delays


if __name__ == "__main__":
    print(*run(), sep="\n")
