"""What `EventStream(replay=…)` asks of a store that keeps streams for readers who come back.

With a replay the source does not belong to a connection any more: the store runs it under a key,
keeps what it gives, and every connection, the first one included, only reads along. The store
therefore decides what a connection cannot: whether the source runs already (here or in another
process), how much is kept, and how long it goes on while nobody reads (``linger``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal, Protocol

from undam.errors import UndamError

Append = Callable[[bytes], Awaitable[str]]
"""Keep an event, or several that belong together (bytes without an ``id``); returns its id."""

Produce = Callable[[Append], Awaitable[None]]
"""Run the source to its end: one ``append`` per event. ``EventStream`` hands it to the store.

It returns when the source ended well. It raises ``SourceFailed`` when the source raised, after it
logged the error and appended the error event. Cancel it to stop the source.
"""

Kept = tuple[str, bytes]
"""An event's id and its bytes as they were appended."""


class ReplayGap(UndamError):
    """What the reader missed is no longer kept, or its id was never given out."""


class ReplayOver(UndamError):
    """The stream is over and the reader has all of it."""


class SourceFailed(UndamError):
    """The source raised; everything it gave, and an error event, were kept before."""


class Replay(Protocol):
    """A store of streams, each under a key.

    Attributes:
        on_gap: what `EventStream` does on `ReplayGap`: ``"204"`` answers 204, which tells an
            EventSource to stay away; ``"event"`` sends ``event: gap`` with the data
            ``{"last_event_id": …}`` and goes on with the oldest event that is kept.
    """

    on_gap: Literal["204", "event"]

    async def attach(
        self, key: str, last_id: str | None, produce: Produce
    ) -> AsyncGenerator[Kept, None]:
        """Read the stream ``key`` from after ``last_id``; ``None`` is from its oldest kept event.

        The store starts ``produce`` in a task of its own if the key is new, and never twice at a
        time. The generator gives what is kept and then what comes, in order, each event once; it
        ends when ``produce`` returned and everything was given, and raises `SourceFailed` when
        it raised that. Closing the generator detaches the reader; when the last one has left,
        ``produce`` goes on for ``linger`` seconds and is cancelled then.

        Ids are ASCII without CR, LF and NUL, and tell whether an event is still kept.

        Raises:
            ReplayGap: events after ``last_id`` are gone, or the key is unknown though the reader
                has an id of it.
            ReplayOver: the stream has ended and ``last_id`` was its last event.
        """
        ...
