"""One attempt to get a response from one upstream, beginning with the choice of a connection."""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic
from typing import Protocol

from undam.gateway.http.headers import ResponseHead, retry_after_s
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.http.upstream_connection import UpstreamConnection
from undam.gateway.interfaces import AttemptKind, Upstream, UpstreamResult
from undam.gateway.relay.first_content import FirstContentDetector
from undam.gateway.relay.outgoing_request import OutgoingRequest

MAX_HELD_BYTES = 64 << 10
"""Maximum data to hold per upstream before its first content, while another upstream may win."""
# Maximum idle time of a connection that is reused for a request that must not be sent twice.
# Servers close idle connections after 5 s (uvicorn, node) or later.
_SURELY_OPEN_S = 2.0


class AttemptListener(Protocol):
    """Receiver of the response to one attempt. Its methods are called in order.

    A race receives the responses of its attempts. It passes the winner's response to the relay,
    which implements the same interface.
    """

    def head_received(self, attempt: Attempt, now: float) -> None:
        """Handle ``attempt.head``."""
        ...

    def body_received(self, attempt: Attempt, data: bytes, now: float) -> None:
        """Handle body bytes, without framing."""
        ...

    def response_complete(self, attempt: Attempt, now: float) -> None:
        """Handle the end of the response."""
        ...

    def attempt_failed(
        self, attempt: Attempt, result: UpstreamResult, why: str, now: float
    ) -> None:
        """Handle a failure. No more of the response will arrive."""
        ...

    def request_paused(self, paused: bool) -> None:
        """Pause or resume reading of the request body from the client."""
        ...


class Attempt:
    """One attempt. It receives the response from its connection.

    Attributes:
        held: body bytes that were not forwarded yet.
        unread: the part of ``held`` that the detector has not read.
        detector: detector of the first content in an event stream; ``None`` for other bodies.
        sent: at least a part of the request was sent.
        head_at: time at which the head arrived.
        error_status: status that an error event at the start of the stream stands for; 0 if there
            was none.
        retry_after_s: value of Retry-After in the head, in seconds.
    """

    __slots__ = (
        "_listener", "_pool", "_request", "_reused", "_task", "connection", "detector",
        "error_status", "head", "head_at", "held", "held_bytes", "kind", "retry_after_s", "sent",
        "started_at", "unread", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        listener: AttemptListener,
        request: OutgoingRequest,
        upstream: Upstream,
        kind: AttemptKind,
        now: float,
    ) -> None:
        self.upstream = upstream
        self.kind = kind
        self.started_at = now
        self.connection: UpstreamConnection | None = None
        self.head: ResponseHead | None = None
        self.detector: FirstContentDetector | None = None
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.unread = b""
        self.sent = False
        self.head_at = 0.0
        self.error_status = 0
        self.retry_after_s: float | None = None
        self._listener = listener
        self._request = request
        self._pool: UpstreamPool | None = None
        self._reused = False
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> int:
        """Status of the response, or of the error with which its stream began; 0 without a head."""
        if self.error_status:
            return self.error_status
        return 0 if self.head is None else self.head.status

    @property
    def connecting(self) -> bool:
        """True while the attempt has no connection."""
        return self._task is not None

    def start(self, pool: UpstreamPool) -> None:
        """Send the request on an idle connection, or on a new connection if none is idle."""
        self._pool = pool
        max_idle_s = inf if self._request.repeatable else _SURELY_OPEN_S
        connection = pool.take(self.upstream, max_idle_s)
        self._reused = connection is not None
        if connection is not None:
            self._send(connection)
        else:
            self._connect(pool)

    def abort(self) -> None:
        """End the attempt immediately, without notifying the listener."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()

    def hold(self, data: bytes) -> None:
        """Buffer body bytes until it is known whether this attempt wins."""
        self.held.append(data)
        self.held_bytes += len(data)

    def take_held(self) -> tuple[bytes, bytes]:
        """Return the buffered bytes, and those that the detector has not read; clear both."""
        data, unread = b"".join(self.held), self.unread
        self.held, self.unread = [], b""
        return data, unread

    def _connect(self, pool: UpstreamPool) -> None:
        self._reused = False
        self._task = asyncio.get_running_loop().create_task(self._open(pool))

    async def _open(self, pool: UpstreamPool) -> None:
        try:
            connection = await pool.open(self.upstream)
        # UnicodeError is raised if IDNA cannot encode the name.
        except (OSError, UnicodeError) as error:
            self._task = None
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._listener.attempt_failed(
                self, UpstreamResult.REFUSED, f"no connection: {why}", monotonic()
            )
            return
        if self._task is None:  # The attempt was aborted in the same loop iteration.
            connection.abort()
            return
        self._task = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.sent = True
        request = self._request
        connection.begin(
            self,
            request.encode_head(self.upstream),
            request.body_source(),
            without_body=request.is_head,
            single_use=request.body.passed_on,
            upgrade=request.upgrade,
        )
        self._listener.request_paused(connection.writing_paused)

    # Methods that the connection calls.

    def head_received(self, head: ResponseHead, now: float) -> None:
        """Store the head and report it."""
        self.head, self.head_at = head, now
        self.retry_after_s = retry_after_s(head.get(b"retry-after"))
        self._listener.head_received(self, now)

    def body_received(self, data: bytes, now: float) -> None:
        """Report body bytes."""
        self._listener.body_received(self, data, now)

    def response_complete(self) -> None:
        """Report the end of the response. The connection has already returned to the pool."""
        self.connection = None
        self._listener.response_complete(self, monotonic())

    def connection_lost(self, why: str, *, started: bool, sent: bool) -> None:
        """Report the failure. Reconnect instead if a reused connection was already closed."""
        self.connection = None
        request = self._request
        if (
            self._reused
            and not started
            and (request.repeatable or not (sent or request.body.passed_on))
        ):
            # It is not a failure if the upstream closed an idle connection just as it was reused.
            assert self._pool is not None
            self._connect(self._pool)
            return
        self._listener.attempt_failed(self, UpstreamResult.DIED, why, monotonic())

    def request_paused(self, paused: bool) -> None:
        """Report whether the connection currently accepts more of the request body."""
        self._listener.request_paused(paused)
