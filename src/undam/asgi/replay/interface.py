"""Interface of replay stores, which keep the events of `EventStream(replay=…)`.

With a replay, the source does not belong to a connection. The store runs it under a key and keeps
its events; every connection, including the first, only reads them. The store therefore decides
whether the source is already running (in this or another process), how many events are kept, and
how long the source continues without readers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from undam.errors import UndamError

Append = Callable[[bytes], Awaitable[str]]
"""Store one event (bytes without an ID) and return its ID. It may wait for readers or space."""

StoredEvent = tuple[str, bytes]
"""ID of an event, and its bytes as appended."""


class ReplayGap(UndamError):
    """Events that the reader has missed are no longer stored, or its last event ID is unknown."""


class ReplayOver(UndamError):
    """The stream has ended or is unknown, so there is nothing left for this reader."""


class StoreUnavailable(UndamError):
    """The store is unreachable, and nothing was changed."""


class ReplayUnknown(ReplayOver):
    """The reader may only join an existing stream, and none is stored under this key."""


class AnswerStopped(UndamError):
    """The stream was stopped on request, so this is not a failure."""


class SourceFailed(UndamError):
    """The source raised an exception, which has been logged.

    Args:
        last: error event, to be stored after the events of the source.
    """

    def __init__(self, message: str, last: bytes = b"") -> None:
        super().__init__(message)
        self.last = last


class SourceLost(UndamError):
    """The process that ran the source has died, and no other process can continue the stream."""


AttachMode = Literal["join", "new", "existing"]
"""Stream that a reader without a last event ID receives.

join      the newest stream under the key, or a new one
new       a new stream, whatever is stored under the key
existing  the newest stream under the key; never starts one
"""

StreamState = Literal["running", "complete", "failed", "lost", "stopped"]


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """State of a stored stream.

    Attributes:
        state: ``lost`` if its process has died.
        events: number of its events so far.
        last_event_id: ID of the newest event; empty before the first.
    """

    state: StreamState
    events: int
    last_event_id: str


class Producer(Protocol):
    """Function that runs a source to its end. `EventStream` passes one to the store.

    Attributes:
        resumable: the source can start at a ``position`` other than 0.
    """

    resumable: bool

    async def __call__(self, append: Append, position: int) -> Sequence[bytes]:
        """Append the source's events one by one. Cancelling this call stops the source.

        Args:
            position: number of events that a previous process has stored.

        Returns:
            The final events. The store must save them atomically with the completion of the stream,
            so that a process that takes over finds both or neither.

        Raises:
            SourceFailed: the source raised an exception.
        """
        ...


class Replay(Protocol):
    """Store for streams, by key.

    Attributes:
        on_gap: response of `EventStream` to `ReplayGap`. With ``"204"`` it answers with status
            204, after which an EventSource does not reconnect. With ``"event"`` it sends
            ``event: gap`` with the data ``{"last_event_id": …}`` (with ``openai``, an error in
            OpenAI's format) and continues with the oldest stored event.
    """

    on_gap: Literal["204", "event"]

    async def attach(
        self, key: str, last_id: str | None, produce: Producer
    ) -> AsyncGenerator[StoredEvent, None]:
        """Return a reader of the stream ``key``, starting after ``last_id``.

        If the key is new, the store starts ``produce`` in a separate task. ``produce`` never runs
        twice at the same time.

        The reader yields each event exactly once and in order, the stored events first. It ends
        when ``produce`` has returned and all events have been read. Closing the reader detaches it.
        After the last reader has detached, ``produce`` continues for a linger time and is then
        cancelled.

        The reader raises `SourceFailed` if ``produce`` has raised it, and `SourceLost` if the
        stream cannot continue for another reason. It raises `ReplayGap` if it was so slow that
        events it had not read were dropped.

        IDs are ASCII without CR, LF and NUL. The store can derive from an ID whether the event is
        still stored.

        Args:
            last_id: ID of the last event that the reader has received. ``None`` starts at the first
                event. ``""`` starts at the oldest stored event, for a reader that has already
                received a gap.

        Raises:
            ReplayGap: events after ``last_id`` were dropped, or the ID is from another stream.
            ReplayOver: the stream has ended and ``last_id`` was its last event; or the key is
                unknown although the reader has an ID.
        """
        ...


class AnswerStore(Replay, Protocol):
    """Store for `Answers`: streams can be replaced, listed and stopped, and need no source."""

    async def attach(
        self, key: str, last_id: str | None, produce: Producer, *, mode: AttachMode = "join"
    ) -> AsyncGenerator[StoredEvent, None]:
        """Return a reader for an existing or a new stream, as `Replay.attach` does.

        With ``mode="new"``, ``produce`` is started even if the key is known. The earlier stream
        continues for its readers, and can be resumed with its event IDs.

        Raises:
            ReplayUnknown: the key is unknown, and ``mode`` is ``"existing"``.
        """
        ...

    async def status(self, key: str) -> StreamStatus | None:
        """Return the state of the newest stream under ``key``, or ``None`` if there is none."""
        ...

    async def stop(self, key: str) -> bool:
        """Stop the newest stream under ``key``, even if another process runs its source.

        Its readers receive `AnswerStopped` after the events so far.

        Returns:
            Whether the stream was running.
        """
        ...

    async def remember(self, group: str, key: str) -> None:
        """Add ``key`` to ``group``, so that `list_group` returns it."""
        ...

    async def list_group(self, group: str) -> list[tuple[str, StreamStatus]]:
        """Return the stored streams of ``group``, newest first."""
        ...

    async def publish(self, topic: str, data: bytes) -> str:
        """Append an event to ``topic``, a stream without a source, and return the event's ID.

        A slow reader does not delay this call: it receives a gap.
        """
        ...

    async def subscribe(self, topic: str, last_id: str | None) -> AsyncGenerator[StoredEvent, None]:
        """Return a reader for ``topic`` that starts after ``last_id``, or else at the next event.

        Raises:
            ReplayGap: events after ``last_id`` were dropped, or the topic was started again.
        """
        ...
