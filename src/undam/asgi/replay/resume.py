"""`EventStream` with a `Replay`: the store runs the source, and each connection is a reader."""

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

# Number of items after which a source that never suspends yields to the loop, as without a replay.
_TURN_EVENTS = 64


def last_event_id(scope: Scope) -> str | None:
    """Return the last event ID from the header or from the parameter ``last_event_id``.

    A new EventSource, for instance after a reload, cannot set the header and uses the parameter.
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
"""Function that returns the source from a position, the number of items already sent as events."""


class SourceProducer:
    """`Producer` that runs a source to its end and appends its items as events to the store."""

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
        """Close the source after its request has ended, if the store has not started it."""
        if not self._started:
            self._closed = True
            await close_source(self._source)

    def _open(self, position: int) -> AsyncIterator[Any]:
        if position:
            self._frames.continue_answer()
        if not position and not self._closed:
            self._started = True
            return open_source(self._source)
        assert self._source_from is not None, "the source is not resumable"
        return open_source(self._source_from(position))

    async def _run(self, items: AsyncIterator[Any], append: Append) -> None:
        count = 0
        async for item in items:
            if isinstance(item, Event) and item.id:
                item = Event(item.data, item.event)  # noqa: PLW2901 (the store assigns the IDs)
            if data := self._frames.encode(item):
                await append(data)
            count += 1
            if count % _TURN_EVENTS == 0:
                await asyncio.sleep(0)


def split_events(data: bytes) -> list[bytes]:
    """Split ``data`` into events, because readers can resume only between stored events."""
    return [part + b"\n\n" for part in data.split(b"\n\n") if part]


class StoredFrames:
    """Encoder that adds the IDs of stored events. The final events are stored as well."""

    __slots__ = ("_frames", "ids")

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        # True from the start, because the first event has an ID.
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
    """Yield a stream from its first event.

    The store is attached at the first step, so that the response head does not wait for it. If the
    first events were dropped, the reader receives a gap event even if ``on_gap`` is ``"204"``,
    because the head has been sent.
    """
    try:
        events = _read(await replay.attach(key, None, produce))
    except ReplayGap:
        events = _after_gap(replay, key, frames.gap_event(""), produce)
    async with contextlib.aclosing(events):
        async for item in events:
            yield item


async def read_after(
    replay: Replay, key: str, last_id: str, produce: Producer, frames: Frames
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Attach to the store immediately, and return the events after ``last_id``.

    Raises:
        ReplayGap: missed events were dropped, and the store's ``on_gap`` is ``"204"``.
        ReplayOver: there is nothing left to read.
    """
    try:
        stored = await replay.attach(key, last_id, produce)
    except ReplayGap:
        if replay.on_gap == "204":
            raise
        return _after_gap(replay, key, frames.gap_event(last_id), produce)
    return _read(stored)


async def _after_gap(
    replay: Replay, key: str, gap: bytes, produce: Producer
) -> AsyncGenerator[StoredEvent | bytes, None]:
    yield gap
    async with contextlib.aclosing(await replay.attach(key, "", produce)) as stored:
        async for item in stored:
            yield item


async def _read(
    stored: AsyncGenerator[StoredEvent, None],
) -> AsyncGenerator[StoredEvent | bytes, None]:
    async with contextlib.aclosing(stored):
        async for item in stored:
            yield item
