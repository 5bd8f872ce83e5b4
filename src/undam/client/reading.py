"""Readers that return each event of a byte stream as soon as its last byte arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Iterable, Sequence
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar, cast, overload

from undam.client.body_form import BodyForm, EventStreamForm
from undam.errors import UsageError
from undam.sse import Comment, Event

MAX_EVENT_BYTES = 16 << 20
"""Default maximum size of one event. A base64 image takes several MB. Without a limit, a server
that never ends a line could exhaust the reader's memory."""

Item = TypeVar("Item")


class ReadObserver(Protocol):
    """Observer that receives all items of a read, including comments, before they are returned."""

    def read(self, items: Sequence[object]) -> None:
        """Handle the items of one read; ``items`` may be empty."""
        ...

    def end(self) -> None:
        """Handle the end of the stream. May be called more than once."""
        ...


class _EventQueue(Generic[Item]):
    """Shared base of `Events` and `AsyncEvents`: parses bytes into items, without I/O."""

    def __init__(self, form: BodyForm, *, comments: bool) -> None:
        self._form = form
        self._items: deque[Event | Comment] = deque()
        self._observer: ReadObserver | None = None
        self._discarded_bytes = 0
        self._comments = comments
        self._over = False

    @property
    def last_event_id(self) -> str:
        """Value for ``Last-Event-ID`` on a reconnect; empty if the server sends no IDs."""
        return self._form.last_event_id

    @property
    def retry_ms(self) -> int | None:
        """Latest reconnection time that the server has sent, in ms."""
        return self._form.retry_ms

    @property
    def discarded_bytes(self) -> int:
        """Size of the unfinished event at the end; if it is above 0, the stream was cut off."""
        return self._discarded_bytes

    def observed_by(self, observer: ReadObserver) -> None:
        """Pass the items of every later read to ``observer``; `Timing` uses this for heartbeats."""
        self._observer = observer

    def _needs_read(self) -> bool:
        return not self._items and not self._over

    def _take(self) -> Item:
        return cast("Item", self._items.popleft())

    def _receive_data(self, data: object) -> None:
        if not isinstance(data, bytes):
            if not isinstance(data, bytearray | memoryview):
                raise UsageError(
                    f"events are read from bytes, but the source yielded {type(data).__name__}: "
                    "pass the bytes of the response, before any decoding or splitting into lines"
                )
            data = bytes(data)
        self._add(self._form.receive_data(data))

    def _add(self, items: Sequence[Event | Comment]) -> None:
        if self._observer is not None:
            self._observer.read(items)
        self._items += (
            items if self._comments else [item for item in items if isinstance(item, Event)]
        )

    def _receive_eof(self) -> None:
        self._over = True
        try:
            items, self._discarded_bytes = self._form.receive_eof()
            if items:
                self._add(items)
        finally:
            self._notify_end()

    def _clear(self) -> None:
        self._over = True
        self._items.clear()
        self._notify_end()

    def _notify_end(self) -> None:
        if self._observer is not None:
            self._observer.end()


class Events(_EventQueue[Item]):
    """Iterator over the events of a stream of bytes, in order; see `events`."""

    def __init__(self, source: Iterable[bytes], form: BodyForm, *, comments: bool) -> None:
        super().__init__(form, comments=comments)
        self._source = iter(source)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        while self._needs_read():
            try:
                data = next(self._source)
            except StopIteration:
                self._receive_eof()
            except BaseException:
                self._notify_end()
                raise
            else:
                self._receive_data(data)
        if not self._items:
            raise StopIteration
        return self._take()

    def close(self) -> None:
        """Stop reading, and close the source if it can be closed."""
        self._clear()
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncEvents(_EventQueue[Item]):
    """Async iterator over the events in a byte stream, in order; see `aevents`."""

    def __init__(self, source: AsyncIterable[bytes], form: BodyForm, *, comments: bool) -> None:
        super().__init__(form, comments=comments)
        self._source = aiter(source)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while self._needs_read():
            try:
                data = await anext(self._source)
            except StopAsyncIteration:
                self._receive_eof()
            except BaseException:
                self._notify_end()
                raise
            else:
                self._receive_data(data)
        if not self._items:
            raise StopAsyncIteration
        return self._take()

    async def aclose(self) -> None:
        """Stop reading, and close the source if it can be closed."""
        self._clear()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


@overload
def events(
    source: Iterable[bytes],
    *,
    comments: Literal[False] = ...,
    max_event_bytes: int = ...,
) -> Events[Event]: ...
@overload
def events(
    source: Iterable[bytes], *, comments: bool, max_event_bytes: int = ...
) -> Events[Event | Comment]: ...
def events(
    source: Iterable[bytes], *, comments: bool = False, max_event_bytes: int = MAX_EVENT_BYTES
) -> Events[Event] | Events[Event | Comment]:
    """Return an iterator over the events in ``source``, parsed as in WHATWG HTML 9.2.

    The result does not depend on how the bytes are split. An event is returned as soon as the read
    with its last byte arrives, before the source is read again. If the last event is unfinished, it
    is discarded, as the standard requires, and its size is counted in ``discarded_bytes``.
    Exceptions of the source are passed through.

    Args:
        comments: also return comments, which servers send as heartbeats.
        max_event_bytes: maximum size of one event.

    Raises:
        RemoteProtocolError: an event is too large. All earlier events have been returned.
        UsageError: the source yields something other than bytes.
    """
    return Events(source, EventStreamForm(max_event_bytes), comments=comments)


@overload
def aevents(
    source: AsyncIterable[bytes],
    *,
    comments: Literal[False] = ...,
    max_event_bytes: int = ...,
) -> AsyncEvents[Event]: ...
@overload
def aevents(
    source: AsyncIterable[bytes], *, comments: bool, max_event_bytes: int = ...
) -> AsyncEvents[Event | Comment]: ...
def aevents(
    source: AsyncIterable[bytes], *, comments: bool = False, max_event_bytes: int = MAX_EVENT_BYTES
) -> AsyncEvents[Event] | AsyncEvents[Event | Comment]:
    """Return an async iterator over the events in ``source``; see `events`."""
    return AsyncEvents(source, EventStreamForm(max_event_bytes), comments=comments)
