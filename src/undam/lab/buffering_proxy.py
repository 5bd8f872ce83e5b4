"""A small relay that buffers responses, for machines on which no real proxy is installed.

It is not an HTTP proxy. It forwards the bytes of one connection and changes the request to
HTTP/1.0, as nginx does by default, so that the origin ends the body by closing the connection.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_READ_BYTES = 65536
_MAX_HEAD_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ProxyBehavior:
    """Buffering behavior of the relay.

    Args:
        block_bytes: buffer size; data is released in multiples of it. 0 does not buffer. nginx's
            proxy_buffer_size is 4096.
        forget_after_s: silence after which the relay forwards nothing and closes nothing, like a
            NAT that has dropped the connection.
    """

    block_bytes: int = 0
    forget_after_s: float | None = None


class BufferingProxy:
    """Buffering relay in its own thread, on a free loopback port; usable as a context manager."""

    def __init__(self, upstream: str, behavior: ProxyBehavior) -> None:
        target = urlsplit(upstream)
        self._upstream = (target.hostname or "127.0.0.1", target.port or 80)
        self._behavior = behavior
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name="undam-buffering-proxy")
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # This is not a coroutine, because `start_server` would report the cancellation of a
        # coroutine as an error.
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.close()
            return
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            up_writer.write(as_http_1_0(head))
            await _until_first_ends(
                _pump(reader, up_writer), self._forward_response(up_reader, writer)
            )
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            up_writer.close()
            writer.close()

    async def _forward_response(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        held = bytearray()
        block = self._behavior.block_bytes
        while data := await self._read(reader):
            held += data
            ready = len(held) - len(held) % block if block else len(held)
            writer.write(held[:ready])
            del held[:ready]
            await writer.drain()
        writer.write(held)
        await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        limit = self._behavior.forget_after_s
        if limit is None:
            return await reader.read(_READ_BYTES)
        try:
            async with asyncio.timeout(limit):
                return await reader.read(_READ_BYTES)
        except TimeoutError:
            await asyncio.Event().wait()  # Wait until the client disconnects.
            raise AssertionError("unreachable") from None


def as_http_1_0(head: bytes) -> bytes:
    """Return a request head as nginx forwards it by default: HTTP/1.0 with Connection: close."""
    line, _, rest = head.partition(b"\r\n")
    rest = re.sub(rb"(?im)^connection:[^\r\n]*\r\n", b"", rest)
    return line.removesuffix(b"HTTP/1.1") + b"HTTP/1.0\r\nConnection: close\r\n" + rest


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ_BYTES):
        writer.write(data)
        await writer.drain()


async def _until_first_ends(*both: Coroutine[None, None, None]) -> None:
    """Run both coroutines until one ends, then cancel the other."""
    tasks = [asyncio.ensure_future(one) for one in both]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, OSError):
                await task
