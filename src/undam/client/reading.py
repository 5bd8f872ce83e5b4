"""Bytes to events, from any source of bytes; an event is out as soon as its last byte is in."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Iterable, Sequence
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar, cast, overload

from undam.errors import UsageError
from undam.sse import Comment, Event, Parser

MAX_EVENT_BYTES = 16 << 20
"""Bound of one event. A picture in base64 is some MB; a reader that holds more could be made to
eat memory by a server that never ends its line."""

Item = TypeVar("Item")


class Observer(Protocol):
    """Who is told what each read brought, comments included, before anybody sees an event."""

    def read(self, items: Sequence[object]) -> None:
        """A read brought these; it may be none."""
        ...

    def end(self) -> None:
        """Nothing more will come. May be told again."""
        ...


class _Inbox:
    """What both readers share: reads go in, items wait for their reader."""

    def __init__(self, comments: bool, max_event_bytes: int) -> None:
        self.parser = Parser(max_event_bytes=max_event_bytes)
        self.items: deque[Event | Comment] = deque()
        self.observer: Observer | None = None
        self.discarded_bytes = 0
        self._comments = comments

    def receive_data(self, data: object) -> None:
        if not isinstance(data, bytes):
            if not isinstance(data, bytearray | memoryview):
                raise UsageError(
                    f"events are read from bytes, and the source gave {type(data).__name__}: "
                    "give the response's bytes, before any decoding or splitting into lines"
                )
            data = bytes(data)
        found = self.parser.receive_data(data)
        if self.observer is not None:
            self.observer.read(found)
        if self._comments:
            self.items += found
        else:
            self.items += [item for item in found if isinstance(item, Event)]

    def receive_eof(self) -> None:
        self.discarded_bytes = self.parser.receive_eof()
        self.end()

    def end(self) -> None:
        if self.observer is not None:
            self.observer.end()


class _Known:
    """What may be asked of a stream while it is read."""

    _inbox: _Inbox

    @property
    def last_event_id(self) -> str:
        """What a reconnect would send as ``Last-Event-ID``; "" where the server gives none."""
        return self._inbox.parser.last_event_id

    @property
    def retry_ms(self) -> int | None:
        """The reconnection time that the server asked for last."""
        return self._inbox.parser.retry_ms

    @property
    def discarded_bytes(self) -> int:
        """Size of an event that the stream's end left unfinished: more than 0 is a cut stream."""
        return self._inbox.discarded_bytes

    def observed_by(self, observer: Observer) -> None:
        """Tell ``observer`` of each read from here on; it is how a Timing sees heartbeats."""
        self._inbox.observer = observer


class Events(_Known, Generic[Item]):
    """The events of a stream of bytes, in order; see ``events``."""

    def __init__(self, source: Iterable[bytes], *, comments: bool, max_event_bytes: int) -> None:
        self._source = iter(source)
        self._inbox = _Inbox(comments, max_event_bytes)
        self._over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        inbox = self._inbox
        while not inbox.items:
            if self._over:
                raise StopIteration
            try:
                data = next(self._source)
            except StopIteration:
                self._over = True
                inbox.receive_eof()
            except BaseException:
                inbox.end()
                raise
            else:
                inbox.receive_data(data)
        return cast("Item", inbox.items.popleft())

    def close(self) -> None:
        """Stop reading; what the source holds open is let go."""
        self._over = True
        self._inbox.items.clear()
        self._inbox.end()
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


class AsyncEvents(_Known, Generic[Item]):
    """The events of an asynchronous stream of bytes, in order; see ``aevents``."""

    def __init__(
        self, source: AsyncIterable[bytes], *, comments: bool, max_event_bytes: int
    ) -> None:
        self._source = aiter(source)
        self._inbox = _Inbox(comments, max_event_bytes)
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        inbox = self._inbox
        while not inbox.items:
            if self._over:
                raise StopAsyncIteration
            try:
                data = await anext(self._source)
            except StopAsyncIteration:
                self._over = True
                inbox.receive_eof()
            except BaseException:
                inbox.end()
                raise
            else:
                inbox.receive_data(data)
        return cast("Item", inbox.items.popleft())

    async def aclose(self) -> None:
        """Stop reading; what the source holds open is let go."""
        self._over = True
        self._inbox.items.clear()
        self._inbox.end()
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
    """The events in ``source``, exactly as WHATWG HTML 9.2 reads them, however the bytes are cut.

    Each is given as soon as the read that brings its last byte is given; the source is never
    asked for more before. An event that the end leaves unfinished is discarded, as the standard
    says; ``discarded_bytes`` tells. What the source raises passes through.

    Args:
        comments: give the comments, too: servers send them as heartbeats.
        max_event_bytes: bound of one event.

    Raises:
        RemoteProtocolError: an event is larger; those before it were given.
        UsageError: the source gives something else than bytes.
    """
    return Events(source, comments=comments, max_event_bytes=max_event_bytes)


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
    """As ``events``, from an asynchronous source."""
    return AsyncEvents(source, comments=comments, max_event_bytes=max_event_bytes)
