"""What `EventStream(replay=…)` asks of a store that keeps streams for readers who come back.

With a replay the source does not belong to a connection any more: the store runs it under a key,
keeps what it gives, and every connection, the first one included, only reads along. The store
therefore decides what a connection cannot: whether the source runs already (here or in another
process), how much is kept, and how long it goes on while nobody reads (``linger``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Literal, Protocol

from undam.errors import UndamError

Append = Callable[[bytes], Awaitable[str]]
"""Keep one event (bytes without an ``id``); returns its id. May wait, for readers or for room."""

StoredEvent = tuple[str, bytes]
"""An event's id and its bytes as they were appended."""


class ReplayGap(UndamError):
    """What the reader missed is no longer kept, or its id was never given out."""


class ReplayOver(UndamError):
    """There is nothing left that the reader could be given."""


class SourceFailed(UndamError):
    """The source raised, and the error was logged.

    Args:
        last: an event that tells so, to be kept behind everything the source gave.
    """

    def __init__(self, message: str, last: bytes = b"") -> None:
        super().__init__(message)
        self.last = last


class SourceLost(UndamError):
    """Whoever ran the source is gone, and nobody can go on where it stopped."""


class Producer(Protocol):
    """Runs a source to its end. ``EventStream`` hands it to the store.

    Attributes:
        resumable: it can begin at another ``position`` than 0.
    """

    resumable: bool

    async def __call__(self, append: Append, position: int) -> Sequence[bytes]:
        """Append the source's events, one by one; cancelling it stops the source.

        Args:
            position: events that were kept before, by a process that is gone.

        Returns:
            The events that stand at the end. They are for the store to keep together with the
            fact that the stream is complete, so that whoever takes over finds both or neither.

        Raises:
            SourceFailed: the source raised.
        """
        ...


class Replay(Protocol):
    """A store of streams, each under a key.

    Attributes:
        on_gap: what `EventStream` does on `ReplayGap`: ``"204"`` answers 204, which tells an
            EventSource to stay away; ``"event"`` sends ``event: gap`` with the data
            ``{"last_event_id": …}`` (with ``openai``: an error in OpenAI's form) and goes on with
            the oldest event that is kept.
    """

    on_gap: Literal["204", "event"]

    async def attach(
        self, key: str, last_id: str | None, produce: Producer
    ) -> AsyncGenerator[StoredEvent, None]:
        """Read the stream ``key`` from after ``last_id``.

        ``None`` is from its first event; ``""`` from the oldest that is kept, by a reader who
        has been told of the gap.

        The store starts ``produce`` in a task of its own if the key is new, and never twice at a
        time. The generator gives what is kept and then what comes, in order, each event once; it
        ends when ``produce`` returned and everything was given. Closing the generator detaches
        the reader; when the last one has left, ``produce`` goes on for ``linger`` seconds and is
        cancelled then.

        The generator raises `SourceFailed` when ``produce`` did, `SourceLost` when the stream
        cannot go on for another reason, and `ReplayGap` when the reader was so slow that events
        it has not seen had to go.

        Ids are ASCII without CR, LF and NUL, and tell whether an event is still kept.

        Raises:
            ReplayGap: events after ``last_id`` are gone, or the id is not of this stream.
            ReplayOver: the stream has ended and ``last_id`` was its last event, or nothing is
                known of the key though the reader has an id.
        """
        ...
