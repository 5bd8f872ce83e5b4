"""A response that the loop's heart looks after: heartbeats, early ends, and whose turn it is.

It runs in the request's own task, so that cancellation, timeouts and context variables mean in
the application's code what they mean everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from abc import abstractmethod
from collections.abc import Coroutine, Generator
from time import monotonic
from types import coroutine
from typing import Any

from undam.asgi.interface import Reason, Receive, Scope, Send
from undam.asgi.response.shutdown import find_stopping
from undam.asgi.response.sockets import bound_unread, find_transport
from undam.asgi.response.stream_timer import heart_of

TURN_EVENTS = 64
TURN_S = 0.002
"""A source that never suspends hands over control after so many events, or so long: 64 events
are some 0.2 ms of work, and 2 ms is what 20 streams of 100 events/s do not notice."""


class Tended:
    """What `EventStream` and `StreamGuard` have in common.

    Every write goes through ``_send`` with ``_sending`` true and ``_wrote_at`` set before.
    """

    __slots__ = ("_beat", "_cancelling", "_context", "_ended", "_given", "_heart", "_heartbeat",
                 "_held", "_held_bytes", "_receive", "_send", "_send_timeout", "_sending", "_task",
                 "_transport", "_turn_at", "_write_error", "_wrote_at", "closed")  # fmt: skip

    def __init__(
        self, receive: Receive, send: Send, heartbeat: float | None, send_timeout: float | None
    ) -> None:
        self._receive = receive
        self._send = send
        self._heartbeat = heartbeat
        self._send_timeout = send_timeout
        self._sending = False
        self._ended: Reason | None = None
        self._beat: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._write_error: Exception | None = None
        self._turn_at = self._wrote_at = monotonic()
        self._given = 0
        self._held: list[bytes] | None = None
        self._held_bytes = 0
        self.closed = False

    @abstractmethod
    def heartbeat_bytes(self) -> bytes:
        """What to send as a heartbeat just now; empty if the client is inside an event."""

    def end(self, reason: Reason) -> None:
        """End it early: what the application waits for is cancelled at once."""
        if self._ended is None and not self.closed:
            self._ended = reason
            self._task.cancel()

    def pulse(self, now: float) -> float:
        """Send a heartbeat if one is due, or cut a client that takes nothing."""
        beat, limit = self._heartbeat, self._send_timeout
        if self._sending or self._beat is not None:
            # A write is under way, so no heartbeat is needed: the client has bytes to read.
            if limit is None:
                return now + (beat or 0.0)
            if now < self._wrote_at + limit:
                return self._wrote_at + limit
            self.end("send-timeout")
            return now + limit
        if beat is None:
            return now + (limit or 0.0)
        due = self._wrote_at + beat
        if due <= now:
            due = now + beat
            if data := self.heartbeat_bytes():
                # Counted from this write: a late timer is not made up for.
                self._wrote_at = now
                self._beat = self._task.get_loop().create_task(
                    self._send_heartbeat(data), name="undam heartbeat", context=self._context
                )
        return due if limit is None else min(due, now + limit)

    async def _abort(self) -> None:
        """Cut the connection, where it can be seen: closing it would wait for a frozen client."""
        if self._transport is not None:
            self._transport.abort()
            # The server learns of it in the next turn, and then does not miss the rest.
            await asyncio.sleep(0)

    def _attend(self) -> None:
        """Note whose task this is; before anything else."""
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()

    def _begin(self, scope: Scope, buffer_bytes: int) -> None:
        """Put it under the heart's care."""
        self._context = contextvars.copy_context()
        self._wrote_at = monotonic()
        self._transport = find_transport(scope, self._receive, self._send)
        if self._transport is not None:
            bound_unread(self._transport, buffer_bytes)
        heart = self._heart = heart_of(self._task.get_loop())
        waits = [wait for wait in (self._heartbeat, self._send_timeout) if wait is not None]
        shortest = min(waits, default=0.0)
        heart.add(self, self._wrote_at + shortest if waits else None, shortest)
        if (probe := find_stopping(self._send)) is not None:
            heart.watch(*probe)

    def _detach(self) -> None:
        """Nothing more happens to it from outside."""
        self.closed = True
        self._heart.remove(self)

    @coroutine
    def _watched(self, body: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """``await body``; note when each turn of it began, and write what it held at its end.

        It hands on what ``body`` yields to the task, and what the task throws into it, as ``await``
        does (a task sends nothing but None). This is the one place where suspending is seen,
        whatever the source is made of, and it costs a clock read per suspension instead of a turn
        of the loop per event.
        """
        send, throw = body.send, body.throw
        try:
            waiting = send(None)
            while True:
                try:
                    if self._held:
                        _set_awaited(waiting, False)
                        yield from self._write_held().__await__()
                        _set_awaited(waiting, True)
                    yield waiting
                except BaseException as error:
                    self._turn_at = monotonic()
                    # What it gives next, if anything, is looked at closely.
                    self._given = TURN_EVENTS
                    waiting = throw(error)
                else:
                    self._turn_at = monotonic()
                    self._given = 0
                    waiting = send(None)
        except StopIteration:
            return

    def _take_held(self) -> bytes:
        """What was given in this turn and not written, which is the caller's to write."""
        data = b"".join(self._held or ())
        self._held, self._held_bytes = None, 0
        return data

    async def _write_held(self) -> None:
        data = self._take_held()
        self._wrote_at = monotonic()
        self._sending = True
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception as error:
            # Not the source's to see, in whose place this runs; it is cancelled instead, and
            # _sending stays true, as after any write that did not come to its end.
            self._write_error = error
            self.end("client-left" if isinstance(error, OSError) else "error")
        else:
            self._sending = False

    async def _wait_for_leaving(self) -> None:
        # A server that cannot say any more whether the client is there has lost it.
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
            self._beat = None

    def _is_cancelled_from_outside(self, caught: BaseException | None) -> bool:
        # Code may also raise CancelledError by itself, from a task of its own that was cancelled;
        # that is an error like any other.
        return (
            isinstance(caught, asyncio.CancelledError)
            and self._task.cancelling() > self._cancelling
        )

    async def _take_back_cancel(self, caught: BaseException | None) -> None:
        if not isinstance(caught, asyncio.CancelledError):
            # Either it was swallowed, or it is still to come.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        self._task.uncancel()


def _set_awaited(waiting: Any, awaited: bool) -> None:
    """Put a future aside, or back into the state in which ``await`` gives it to a task.

    In that state no other task may await it, and a write may take many turns.
    """
    if getattr(waiting, "_asyncio_future_blocking", None) is not None:
        waiting._asyncio_future_blocking = awaited
