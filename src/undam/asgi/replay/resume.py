"""`EventStream` on top of a `Replay`: the source runs for the store, a connection reads along."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from undam.asgi.interface import Scope
from undam.asgi.replay.interface import (
    Append,
    Producer,
    Replay,
    ReplayGap,
    SourceFailed,
    StoredEvent,
)
from undam.asgi.response.frames import SOURCE_FAILED, Frames
from undam.asgi.response.source import Items, Source, close_source, open_source
from undam.sse import Event

log = logging.getLogger("undam.asgi")

# As in a connection's own task: a source that never suspends hands over control.
_TURN_EVENTS = 64


def last_event_id(scope: Scope) -> str | None:
    """The id a reader comes back with: the header, or ``?last_event_id=`` where it is missing.

    An EventSource made anew, as after a reload, cannot set the header.
    """
    for name, value in scope["headers"]:
        if name == b"last-event-id":
            # WHATWG HTML, 9.2.3: browsers send it in UTF-8.
            return bytes(value).decode("utf-8", "replace") or None
    query = scope.get("query_string", b"")
    if b"last_event_id=" not in query:
        return None
    values = parse_qs(bytes(query).decode("latin-1"), errors="replace").get("last_event_id")
    return values[0] if values else None


SourceFrom = Callable[[int], Items]
"""Gives a source from a position on: how many of its items became events before."""


class SourceProducer:
    """A `Producer`: runs a source to its end and appends what it gives."""

    __slots__ = ("_closed", "_expose", "_frames", "_source", "_source_from", "_started",
                 "resumable")  # fmt: skip

    def __init__(
        self,
        source: Source,
        frames: Frames,
        *,
        expose_errors: bool,
        source_from: SourceFrom | None = None,
    ) -> None:
        self._source = source
        self._source_from = source_from
        self._frames = frames
        self._expose = expose_errors
        self._started = self._closed = False
        self.resumable = source_from is not None

    async def __call__(self, append: Append, position: int) -> Sequence[bytes]:
        items: AsyncIterator[Any] | None = None
        try:
            items = self._open(position)
            await self._run(items, append)
            return split_events(self._frames.finish())
        except Exception as error:
            log.error("the source of an event stream failed", exc_info=error)
            message = (str(error) or type(error).__name__) if self._expose else SOURCE_FAILED
            last = self._frames.error_event(message, "server_error")
            raise SourceFailed(SOURCE_FAILED, last) from None
        finally:
            await close_source(items)

    async def close_unused(self) -> None:
        """Close the source that no store has started: the request that brought it is over."""
        if not self._started:
            self._closed = True
            await close_source(self._source)

    def _open(self, position: int) -> AsyncIterator[Any]:
        if position:
            self._frames.continue_answer()
        if not position and not self._closed:
            self._started = True
            return open_source(self._source)
        assert self._source_from is not None, "the store asks only what is resumable"
        return open_source(self._source_from(position))

    async def _run(self, items: AsyncIterator[Any], append: Append) -> None:
        count = 0
        async for item in items:
            if isinstance(item, Event) and item.id:
                item = Event(item.data, item.event)  # noqa: PLW2901 (the id is the store's to give)
            if data := self._frames.encode(item):
                await append(data)
            count += 1
            if count % _TURN_EVENTS == 0:
                await asyncio.sleep(0)


def split_events(data: bytes) -> list[bytes]:
    """Each event of ``data`` by itself: between two of one id a reader could not resume."""
    return [part + b"\n\n" for part in data.split(b"\n\n") if part]


class StoredFrames:
    """Gives kept events their ids back. What stands at the end was kept, too."""

    __slots__ = ("_frames", "ids")

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        # From the start: the first event may come after a heartbeat, and has an id.
        self.ids = True

    def encode(self, item: object) -> bytes:
        if isinstance(item, bytes):
            return item
        assert isinstance(item, tuple)
        ident, data = item
        return b"id: %b\n%b" % (ident.encode("ascii"), data)

    def finish(self) -> bytes:
        return b""

    def error_event(self, message: str, kind: str) -> bytes:
        return self._frames.error_event(message, kind)

    def gap_event(self, last_event_id: str) -> bytes:
        return self._frames.gap_event(last_event_id)

    def continue_answer(self) -> None:
        self._frames.continue_answer()

    def shutdown_event(self) -> bytes:
        return self._frames.shutdown_event()


async def read_from_start(
    replay: Replay, key: str, produce: Producer, frames: Frames
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Attach at the first step only, so that the head need not wait for the store.

    Where the beginning is gone the reader is told of the gap, whatever ``on_gap`` says: the head
    is on its way.
    """
    try:
        reading = _reading(await replay.attach(key, None, produce))
    except ReplayGap:
        reading = _after_gap(replay, key, frames.gap_event(""), produce)
    async with contextlib.aclosing(reading):
        async for item in reading:
            yield item


async def read_after(
    replay: Replay, key: str, last_id: str, produce: Producer, frames: Frames
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Attach at once, to learn whether anything can be resumed.

    Raises:
        ReplayGap: what was missed is gone, and the store wants that answered with 204.
        ReplayOver: there is nothing left to read.
    """
    try:
        kept = await replay.attach(key, last_id, produce)
    except ReplayGap:
        if replay.on_gap == "204":
            raise
        return _after_gap(replay, key, frames.gap_event(last_id), produce)
    return _reading(kept)


async def _after_gap(
    replay: Replay, key: str, gap: bytes, produce: Producer
) -> AsyncGenerator[StoredEvent | bytes, None]:
    yield gap
    async with contextlib.aclosing(await replay.attach(key, "", produce)) as kept:
        async for item in kept:
            yield item


async def _reading(
    kept: AsyncGenerator[StoredEvent, None],
) -> AsyncGenerator[StoredEvent | bytes, None]:
    async with contextlib.aclosing(kept):
        async for item in kept:
            yield item
