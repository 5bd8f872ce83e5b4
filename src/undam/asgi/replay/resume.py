"""`EventStream` with a `Replay`: the store runs the source, and each connection reads from it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs

from undam.asgi.interface import Scope
from undam.asgi.replay.interface import (
    AnswerStore,
    Append,
    AttachMode,
    Producer,
    Replay,
    ReplayGap,
    SourceFailed,
    StoredEvent,
)
from undam.asgi.response.frames import SOURCE_FAILED, Frames
from undam.asgi.response.items import AnyItems, AnySource
from undam.asgi.response.source import close_source, open_source

log = logging.getLogger("undam.asgi")

# A source that never suspends returns control to the event loop after this many items.
_TURN_EVENTS = 64
_ID_FIELD = re.compile(rb"(?:\A|(?<=[\r\n]))id(?::[^\r\n]*)?(?:\r\n|\r|\n)")
_EVENT = re.compile(rb"(?s).+?(?:\n\n|\r\n\r\n|\r\r|\Z)")


def last_event_id(scope: Scope) -> str | None:
    """Return the last event ID from the request's header or its parameter ``last_event_id``.

    A new EventSource, for instance after a reload, cannot set the header and uses the parameter.
    """
    for name, value in scope["headers"]:
        if name == b"last-event-id":
            # WHATWG HTML, 9.2.3: browsers send the last event ID in UTF-8.
            return bytes(value).decode("utf-8", "replace") or None
    query = scope.get("query_string", b"")
    if b"last_event_id=" not in query:
        return None
    values = parse_qs(bytes(query).decode("latin-1"), errors="replace").get("last_event_id")
    return values[0] if values else None


SourceFrom = Callable[[int], AnyItems]
"""Function that returns the source from a position, the number of items already sent as events."""


TaskScope = Callable[[], AbstractAsyncContextManager[Any] | AsyncIterator[Any]]
"""Function that returns the resources of a source: an async context manager, or an async generator
with one ``yield``, such as a FastAPI dependency without parameters."""


class SourceProducer:
    """`Producer` that runs a source to its end and stores its items as events.

    Args:
        task_scope: resources that the source uses. They are entered before it starts and left after
            it has been closed, in the store's task. Their value is passed to the source function.
    """

    __slots__ = ("_closed", "_expose", "_frames", "_source", "_source_from", "_started",
                 "_task_scope", "resumable")  # fmt: skip

    def __init__(
        self,
        source: AnySource | Callable[[Any], AnyItems],
        frames: Frames,
        *,
        expose_errors: bool,
        source_from: SourceFrom | Callable[[int, Any], AnyItems] | None = None,
        task_scope: TaskScope | None = None,
    ) -> None:
        self._task_scope = task_scope
        self._source: Any = source
        self._source_from: Any = source_from
        self._frames = frames
        self._expose = expose_errors
        self._started = self._closed = False
        self.resumable = source_from is not None

    async def __call__(self, append: Append, position: int) -> Sequence[bytes]:
        try:
            async with contextlib.AsyncExitStack() as resources:
                values: tuple[Any, ...] = ()
                if self._task_scope is not None:
                    values = (await resources.enter_async_context(_entered(self._task_scope)),)
                items = self._open(position, *values)
                resources.push_async_callback(close_source, items)
                await self._run(items, append)
                return split_events(self._frames.finish())
        except Exception as error:
            log.error("the source of an event stream failed", exc_info=error)
            message = (str(error) or type(error).__name__) if self._expose else SOURCE_FAILED
            last = self._frames.error_event(message, "server_error")
            raise SourceFailed(SOURCE_FAILED, last) from error

    async def close_unused(self) -> None:
        """Close the source if the store has not started it. Called after the request."""
        if not self._started:
            self._closed = True
            await close_source(self._source)

    def _open(self, position: int, *values: Any) -> AsyncIterator[Any]:
        if position:
            self._frames.continue_answer()
        if not position and not self._closed:
            self._started = True
            return open_source(partial(self._source, *values) if values else self._source)
        assert self._source_from is not None, "the source is not resumable"
        return open_source(self._source_from(position, *values))

    async def _run(self, items: AsyncIterator[Any], append: Append) -> None:
        count = 0
        async for item in items:
            data = without_ids(self._frames.encode(item))
            # A position counts items, so the events of one item share an ID if it can be resumed.
            for event in (data,) if data and self.resumable else split_events(data):
                await append(event)
            count += 1
            if count % _TURN_EVENTS == 0:
                await asyncio.sleep(0)


def _entered(task_scope: TaskScope) -> AbstractAsyncContextManager[Any]:
    made = task_scope()
    if isinstance(made, AsyncGenerator):
        return contextlib.asynccontextmanager(lambda: made)()
    assert isinstance(made, AbstractAsyncContextManager), "task_scope must be a context manager"
    return made


def without_ids(data: bytes) -> bytes:
    """Remove the event IDs from ``data``, because the store assigns IDs."""
    if not (data.startswith(b"id") or b"\nid" in data or b"\rid" in data):
        return data
    kept = _ID_FIELD.sub(b"", data)
    return kept if kept.strip(b"\r\n") else b""


def split_events(data: bytes) -> list[bytes]:
    """Split ``data`` into single events, because readers can resume only between stored events."""
    return _EVENT.findall(data)


class StoredFrames:
    """Encoder that adds event IDs to stored events. The final events are stored as well."""

    __slots__ = ("_frames", "ids")

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        # True from the start, because even the first event has an ID.
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

    def stopped_event(self) -> bytes:
        return self._frames.stopped_event()


async def read_from_start(
    replay: Replay | AnswerStore,
    key: str,
    produce: Producer,
    frames: Frames,
    *,
    mode: AttachMode = "join",
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Yield a stream's events, starting with the first.

    The store is attached at the first step, so that the response head does not wait for it. If the
    first events were dropped, the reader receives a gap event even if ``on_gap`` is ``"204"``,
    because the head has been sent.
    """
    try:
        events = _read(await _attached(replay, key, None, produce, mode))
    except ReplayGap:
        events = _after_gap(replay, key, frames.gap_event(""), produce)
    async with contextlib.aclosing(events):
        async for item in events:
            yield item


async def read_after(
    replay: Replay | AnswerStore,
    key: str,
    last_id: str | None,
    produce: Producer,
    frames: Frames,
    *,
    mode: AttachMode = "join",
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Attach to the store immediately, and return an iterator over the events after ``last_id``.

    Raises:
        ReplayGap: missed events were dropped, and the store's ``on_gap`` is ``"204"``.
        ReplayOver: there is nothing left to read.
    """
    try:
        stored = await _attached(replay, key, last_id, produce, mode)
    except ReplayGap:
        if replay.on_gap == "204" and last_id is not None:
            raise
        return _after_gap(replay, key, frames.gap_event(last_id or ""), produce)
    return _read(stored)


async def _attached(
    replay: Replay | AnswerStore,
    key: str,
    last_id: str | None,
    produce: Producer,
    mode: AttachMode,
) -> AsyncGenerator[StoredEvent, None]:
    # Only an AnswerStore can start a second stream under one key.
    if mode == "join" or not hasattr(replay, "subscribe"):
        return await replay.attach(key, last_id, produce)
    return await cast("AnswerStore", replay).attach(key, last_id, produce, mode=mode)


async def read_topic(
    replay: AnswerStore, topic: str, last_id: str | None, frames: Frames
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Subscribe to ``topic``. Return its events after ``last_id``, or else all future events."""
    try:
        return _read(await replay.subscribe(topic, last_id))
    except ReplayGap:
        return _topic_after_gap(replay, topic, frames.gap_event(last_id or ""))


async def _topic_after_gap(
    replay: AnswerStore, topic: str, gap: bytes
) -> AsyncGenerator[StoredEvent | bytes, None]:
    yield gap
    async with contextlib.aclosing(await replay.subscribe(topic, "")) as stored:
        async for item in stored:
            yield item


async def preceded_by(
    first: bytes, events: AsyncGenerator[StoredEvent | bytes, None]
) -> AsyncGenerator[StoredEvent | bytes, None]:
    """Yield ``first``, which has no event ID, and then ``events``."""
    async with contextlib.aclosing(events):
        yield first
        async for item in events:
            yield item


async def _after_gap(
    replay: Replay | AnswerStore, key: str, gap: bytes, produce: Producer
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


async def scoped_items(source: Callable[[Any], AnyItems], scope: TaskScope) -> AsyncIterator[Any]:
    """Call ``source`` with the value of ``scope``, and yield its items."""
    async with contextlib.AsyncExitStack() as resources:
        value = await resources.enter_async_context(_entered(scope))
        items = open_source(partial(source, value))
        resources.push_async_callback(close_source, items)
        async for item in items:
            yield item
