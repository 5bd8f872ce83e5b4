"""Base class for responses that are driven step by step in the request's own task.

Because of this, cancellation, timeouts and context variables behave in the application's code as
they do without undam.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Generator
from math import inf
from time import monotonic
from types import coroutine
from typing import Any

from undam.aio.deadlines import coalesced, loop_timer
from undam.asgi.interface import Reason, Receive, Scope, Send
from undam.asgi.response.open_streams import open_streams
from undam.asgi.server.shutdown import find_server_state
from undam.asgi.server.sockets import (
    find_transport,
    limit_client_buffer,
    reset_http2_stream,
)

TURN_EVENTS = 64
TURN_S = 0.002
"""A source that never suspends yields to the loop after this number of events or seconds. 64 events
take about 0.2 ms. A pause of 2 ms is not noticeable with 20 streams of 100 events/s."""


class DrivenResponse(ABC):
    """Base class for `StreamedResponse` and `GuardedResponse`: writes, heartbeats and early ends.

    Invariant: before each call of ``_send``, ``_sending`` is set to true and ``_wrote_at`` to the
    current time. ``_sending`` is reset when the call returns normally, so it stays true if a write
    fails or is interrupted.
    """

    __slots__ = (
        "_cancelling", "_context", "_end_reason", "_heartbeat", "_heartbeat_task", "_open_streams",
        "_pending", "_pending_bytes", "_receive", "_send", "_send_timeout", "_sending", "_task",
        "_timer", "_transport", "_turn_at", "_turn_events", "_write_error", "_wrote_at", "closed",
        "next_deadline",
    )  # fmt: skip

    def __init__(
        self, receive: Receive, send: Send, heartbeat: float | None, send_timeout: float | None
    ) -> None:
        self._receive = receive
        self._send = send
        self._heartbeat = heartbeat
        self._send_timeout = send_timeout
        self._sending = False
        self._end_reason: Reason | None = None
        self._heartbeat_task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._write_error: Exception | None = None
        self._turn_at = self._wrote_at = monotonic()
        self._turn_events = 0
        self._pending: list[bytes] | None = None
        self._pending_bytes = 0
        self.next_deadline = inf
        self.closed = False

    @abstractmethod
    def heartbeat_bytes(self) -> bytes:
        """Return the heartbeat to send; empty if the last write ended within an event."""

    def end(self, reason: Reason) -> None:
        """End the response early, by cancelling the request's task."""
        if self._end_reason is None and not self.closed:
            self._end_reason = reason
            self._task.cancel()

    def on_deadline(self, now: float) -> float:
        """Send a heartbeat if one is due. End the response if a write exceeds its time limit."""
        heartbeat, limit = self._heartbeat, self._send_timeout
        if self._sending or self._heartbeat_task is not None:
            # A write is in progress, so the client still has bytes to read and needs no heartbeat.
            if limit is None:
                return inf if heartbeat is None else coalesced(now + heartbeat, heartbeat)
            if now < self._wrote_at + limit:
                return coalesced(self._wrote_at + limit, limit)
            self.end("send-timeout")
            return inf
        if heartbeat is None:
            return inf if limit is None else coalesced(now + limit, limit)
        due = self._wrote_at + heartbeat
        if due <= now:
            due = now + heartbeat
            if data := self.heartbeat_bytes():
                # Even if the timer fired late, the next interval starts now.
                self._wrote_at = now
                self._heartbeat_task = self._task.get_loop().create_task(
                    self._send_heartbeat(data), name="undam heartbeat", context=self._context
                )
        due = coalesced(due, heartbeat)
        return due if limit is None else min(due, coalesced(now + limit, limit))

    async def _abort(self, scope: Scope) -> None:
        """Abort the connection if its transport is known; closing it would wait for the client.

        On an HTTP/2 connection, only the stream of this request is reset.
        """
        if self._transport is not None:
            self._transport.abort()
            # The server learns of the abort in the next loop iteration. Without this pause, it
            # would log that the application ended the response prematurely.
            await asyncio.sleep(0)
        else:
            await reset_http2_stream(scope, self._send)

    def _bind_task(self) -> None:
        """Store the current task as the request's task. Must be called first."""
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()

    def _register(self, scope: Scope, buffer_bytes: int) -> None:
        """Start the timers, and register the response so that a server shutdown ends it."""
        self._context = contextvars.copy_context()
        self._wrote_at = monotonic()
        self._transport = find_transport(scope, self._receive, self._send)
        if self._transport is not None:
            limit_client_buffer(self._transport, buffer_bytes)
        loop = self._task.get_loop()
        self._timer = loop_timer(loop)
        for interval in (self._heartbeat, self._send_timeout):
            if interval is not None:
                self._timer.schedule(self, coalesced(self._wrote_at + interval, interval))
        self._open_streams = open_streams(loop)
        self._open_streams.add(self)
        if (state := find_server_state(self._send)) is not None:
            self._open_streams.poll(*state)

    def _detach(self) -> None:
        """Disable heartbeats, time limits and early ends; the response is about to finish."""
        self.closed = True
        self._timer.cancel(self)
        self._open_streams.remove(self)

    @coroutine
    def _drive(self, body: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Await ``body``. Before each suspension, write the pending events.

        This generator implements ``await``: it passes futures from ``body`` to the task, and
        exceptions from the task to ``body`` (a task sends only None). Only at this level can
        suspension be detected for every kind of source. The cost is one clock read per suspension,
        instead of one loop iteration per event.
        """
        send, throw = body.send, body.throw
        try:
            future = send(None)
            while True:
                try:
                    if self._pending:
                        _set_awaited(future, False)
                        yield from self._write_pending().__await__()
                        _set_awaited(future, True)
                    yield future
                except BaseException as error:
                    self._turn_at = monotonic()
                    # The exception may have interrupted a write, so the next event must be checked
                    # for that.
                    self._turn_events = TURN_EVENTS
                    future = throw(error)
                else:
                    self._turn_at = monotonic()
                    self._turn_events = 0
                    future = send(None)
        except StopIteration:
            return

    def _take_pending(self) -> bytes:
        """Return the unwritten events of this turn. The caller must write them."""
        data = b"".join(self._pending or ())
        self._pending, self._pending_bytes = None, 0
        return data

    async def _write_pending(self) -> None:
        data = self._take_pending()
        self._wrote_at = monotonic()
        self._sending = True
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception as error:
            # This runs inside the source's `await`, where a write error must not be raised, so
            # cancel the source instead. `_sending` stays true, as after every failed write.
            self._write_error = error
            self.end("client-left" if isinstance(error, OSError) else "error")
        else:
            self._sending = False

    async def _watch_disconnect(self) -> None:
        # If `receive` raises, the client connection is lost.
        with contextlib.suppress(Exception):
            while (await self._receive())["type"] != "http.disconnect":
                pass
        self.end("client-left")

    async def _send_heartbeat(self, data: bytes) -> None:
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception:
            self.end("client-left")
        finally:
            self._heartbeat_task = None

    def _is_cancelled_externally(self, caught: BaseException | None) -> bool:
        # Application code may raise CancelledError itself, for instance after cancelling another
        # task. That counts as an ordinary error.
        return (
            isinstance(caught, asyncio.CancelledError)
            and self._task.cancelling() > self._cancelling
        )

    async def _absorb_cancellation(self, caught: BaseException | None) -> None:
        """Undo the cancellation that `end` requested, so that the request's task can continue."""
        if not isinstance(caught, asyncio.CancelledError):
            # The cancellation was suppressed, or it will be raised at the next suspension.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        self._task.uncancel()


def _set_awaited(future: Any, awaited: bool) -> None:
    """Set or clear the flag that marks a future as awaited by its task.

    While the flag is set, the task cannot await another future, and a write may need several.
    """
    if getattr(future, "_asyncio_future_blocking", None) is not None:
        future._asyncio_future_blocking = awaited
