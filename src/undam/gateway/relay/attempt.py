"""One request at one upstream, from the choice of a connection to the end of the answer."""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic
from typing import Protocol

from undam.gateway.http.fast_path import FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.http.upstream_connection import UpstreamConnection
from undam.gateway.interfaces import AttemptKind, Upstream, UpstreamResult
from undam.gateway.relay.first_content import FirstContentDetector

# What one upstream may say before its first content while another may still be asked.
MAX_HELD_BYTES = 64 << 10
# A request that must not be sent twice goes over a connection that its upstream has hardly had
# the time to give up: uvicorn and node close theirs after 5 s.
_SURELY_OPEN_S = 2.0


class Asker(Protocol):
    """What an attempt serves.

    Attributes:
        repeatable: the request may be sent twice.
        headless: it is a HEAD request.
        once: its body is passed on as it comes.
    """

    repeatable: bool
    headless: bool
    once: bool

    def request_bytes(self, upstream: Upstream) -> bytes:
        """What to send there, as far as it is there."""
        ...

    def connected(self, attempt: Attempt) -> None:
        """The request was sent, as far as it was there."""
        ...

    def head_came(self, attempt: Attempt, now: float) -> None:
        """``attempt.head`` is there."""
        ...

    def body_came(self, attempt: Attempt, data: bytes, now: float) -> None:
        """Bytes of the body."""
        ...

    def end_came(self, attempt: Attempt, now: float) -> None:
        """The answer is whole."""
        ...

    def failed(self, attempt: Attempt, result: UpstreamResult, why: str, now: float) -> None:
        """There will be no (more) answer."""
        ...

    def fast_path_for(self, attempt: Attempt) -> FastPath | None:
        """See `upstream.Receiver.fast_path`."""
        ...

    def upstream_full(self, full: bool) -> None:
        """See `upstream.Receiver.upstream_full`."""
        ...


class Attempt:
    """A `upstream.Receiver` that knows for which request, at which upstream and since when.

    Attributes:
        held: bytes of the body that nobody has got yet.
        unread: those of them that ``detector`` has yet to read.
        detector: reads the stream until it is decided; ``None`` for no stream.
        sent: the request (or some of it) is on its way.
    """

    __slots__ = (
        "_asker",
        "_pool",
        "_reused",
        "_task",
        "asked_at",
        "asked_for",
        "connection",
        "detector",
        "head",
        "held",
        "held_bytes",
        "sent",
        "unread",
        "upstream",
    )  # fmt: skip

    def __init__(self, asker: Asker, upstream: Upstream, why: AttemptKind, now: float) -> None:
        self.upstream = upstream
        self.asked_for = why
        self.asked_at = now
        self.connection: UpstreamConnection | None = None
        self.head: ResponseHead | None = None
        self.detector: FirstContentDetector | None = None
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.unread = b""
        self.sent = False
        self._asker = asker
        self._pool: UpstreamPool | None = None
        self._reused = False
        self._task: asyncio.Task[None] | None = None

    def start(self, pool: UpstreamPool) -> None:
        """Send the request, over an idle connection if there is one."""
        self._pool = pool
        connection = pool.take(self.upstream, inf if self._asker.repeatable else _SURELY_OPEN_S)
        self._reused = connection is not None
        if connection is not None:
            self._send(connection)
        else:
            self._connect(pool)

    @property
    def connecting(self) -> bool:
        """There is no connection yet."""
        return self._task is not None

    def abort(self) -> None:
        """End it from this side, at once; nobody is told."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()

    def _connect(self, pool: UpstreamPool) -> None:
        self._reused = False
        self._task = asyncio.get_running_loop().create_task(self._open(pool))

    async def _open(self, pool: UpstreamPool) -> None:
        try:
            connection = await pool.open(self.upstream)
        except (OSError, UnicodeError) as error:  # The latter: a name that IDNA has no form for.
            self._task = None
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._asker.failed(self, UpstreamResult.REFUSED, f"no connection: {why}", monotonic())
            return
        if self._task is None:  # Aborted in the turn in which it was made.
            connection.abort()
            return
        self._task = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.sent = True
        asker = self._asker
        connection.begin(
            self, asker.request_bytes(self.upstream), headless=asker.headless, once=asker.once
        )
        self._asker.connected(self)

    # What the connection calls.

    def head_came(self, head: ResponseHead, now: float) -> None:
        """See `upstream.Receiver`."""
        self.head = head
        self._asker.head_came(self, now)

    def body_came(self, data: bytes, now: float) -> None:
        """See `upstream.Receiver`."""
        self._asker.body_came(self, data, now)

    def end_came(self) -> None:
        """See `upstream.Receiver`."""
        self.connection = None
        self._asker.end_came(self, monotonic())

    def died(self, why: str, *, answered: bool) -> None:
        """See `upstream.Receiver`."""
        self.connection = None
        if self._reused and not answered and self._asker.repeatable:
            # The upstream closed an idle connection just as it was used again: no fault of its.
            assert self._pool is not None
            self._connect(self._pool)
            return
        self._asker.failed(self, UpstreamResult.DIED, why, monotonic())

    def fast_path(self) -> FastPath | None:
        """See `upstream.Receiver`."""
        return self._asker.fast_path_for(self)

    def upstream_full(self, full: bool) -> None:
        """See `upstream.Receiver`."""
        self._asker.upstream_full(full)
