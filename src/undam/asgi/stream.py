"""One response under way: the source's items to the server, and every way it can end.

The request's own task runs the source, so that cancellation, timeouts and context variables mean
in it what they mean everywhere. One more task waits for the client to leave. Heartbeats come from
the loop's heart; they are whole comments between whole events.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from time import monotonic
from types import coroutine
from typing import Any

from undam.asgi.frames import SOURCE_FAILED, Frames
from undam.asgi.headers import RawHeaders
from undam.asgi.heart import heart_of
from undam.asgi.interface import Reason, Receive, Scope, Send
from undam.asgi.replaying import SourceFailed
from undam.asgi.sockets import bound_unread, find_transport
from undam.asgi.source import close_source
from undam.asgi.stopping import find_stopping
from undam.errors import UndamError
from undam.sse import encode_comment

log = logging.getLogger("undam.asgi")

OnClose = Callable[[Reason], Awaitable[None] | None]

OPENING = encode_comment("open")
"""One line end: part of the first event's block, which no client known fails on."""
PING = encode_comment("ping", blank_line=True)
PING_AMONG_IDS = encode_comment("ping")
"""After an id, openai-python takes a comment with a blank line for an event without data."""

TURN_EVENTS = 64
TURN_S = 0.002
"""A source that never suspends hands over control after so many events, or so long: 64 events
are some 0.2 ms of work, and 2 ms is what 20 streams of 100 events/s do not notice."""


LAST_WORDS_S = 1.0
"""How long an error event may take to get to the server."""


class StreamBroken(UndamError):
    """Raised to the server so that it cuts the response, which must not look complete."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one response promises, whoever asks for it."""

    status: int
    headers: RawHeaders
    heartbeat: float | None
    buffer_bytes: int
    send_timeout: float | None
    on_close: OnClose | None
    expose_errors: bool


class Stream:
    """Runs one response from its head to its end."""

    __slots__ = ("_beat", "_cancelling", "_context", "_ended", "_frames", "_heart", "_items",
                 "_receive", "_send", "_sending", "_task", "_terms", "_transport", "_turn_at",
                 "_watch", "_wrote_at", "closed")  # fmt: skip

    def __init__(
        self, terms: Terms, items: AsyncIterator[Any], frames: Frames, receive: Receive, send: Send
    ) -> None:
        self._terms = terms
        self._items = items
        self._frames = frames
        self._receive = receive
        self._send = send
        self._ended: Reason | None = None
        self._sending = False
        self._beat: asyncio.Task[None] | None = None
        self._turn_at = self._wrote_at = monotonic()
        self.closed = False

    async def run(self, scope: Scope) -> None:
        """Serve the stream; returns when it is over, whatever the reason.

        Raises:
            StreamBroken: the source failed, which was logged and told to the client.
            CancelledError: the request's task was cancelled from outside.
        """
        self._begin(scope)
        caught: BaseException | None = None
        try:
            await self._open()
            await self._watched(self._pump())
            await self._complete()
        except (Exception, asyncio.CancelledError) as error:
            caught = error
        except BaseException:  # the process or the loop ends: nothing can be awaited any more
            self._detach()
            raise
        self._detach()
        reason = self._reason_for(caught)
        try:
            if self._ended is not None:
                await self._take_back_cancel(caught)
            await self._say_last_words(reason, caught)
        finally:
            try:
                await close_source(self._items)
            finally:
                await tell(self._terms.on_close, reason)
        self._raise_to_server(reason, caught)

    def end(self, reason: Reason) -> None:
        """End it early: what the source waits for is cancelled at once."""
        if self._ended is None and not self.closed:
            self._ended = reason
            self._task.cancel()

    def pulse(self, now: float) -> float:
        """Send a heartbeat if one is due, or cut a client that takes nothing."""
        beat, limit = self._terms.heartbeat, self._terms.send_timeout
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
            # Counted from this write: a late timer is not made up for.
            self._wrote_at = now
            due = now + beat
            self._beat = self._task.get_loop().create_task(
                self._ping(), name="undam heartbeat", context=self._context
            )
        return due if limit is None else min(due, now + limit)

    def _begin(self, scope: Scope) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._context = contextvars.copy_context()
        self._transport = find_transport(scope, self._receive, self._send)
        if self._transport is not None:
            bound_unread(self._transport, self._terms.buffer_bytes)
        heart = self._heart = heart_of(loop)
        waits = [s for s in (self._terms.heartbeat, self._terms.send_timeout) if s is not None]
        heart.add(self, self._wrote_at + min(waits) if waits else None, min(waits, default=0.0))
        if (probe := find_stopping(self._send)) is not None:
            heart.watch(*probe)
        self._watch = loop.create_task(self._wait_for_leaving(), name="undam watch")

    async def _open(self) -> None:
        self._sending = True
        await self._send(
            {
                "type": "http.response.start",
                "status": self._terms.status,
                "headers": self._terms.headers,
            }
        )
        await self._send({"type": "http.response.body", "body": OPENING, "more_body": True})
        self._sending = False
        # uvloop writes at the end of the turn, and the source's first step may block for long.
        await asyncio.sleep(0)

    async def _pump(self) -> None:
        encode, send = self._frames.encode, self._send
        count = 0
        # Each event goes to the server before the next is asked for, so none is ever held for
        # one that is late. Gathering a turn's events here would save writes only on loops that
        # write at once, and cost every source that computes between two events a late event.
        async for item in self._items:
            if not (data := encode(item)):
                continue
            self._wrote_at = now = monotonic()
            self._sending = True
            await send({"type": "http.response.body", "body": data, "more_body": True})
            self._sending = False
            if self._ended is not None:
                return  # The source has swallowed its cancellation.
            count += 1
            if count == TURN_EVENTS or now - self._turn_at > TURN_S:
                count = 0
                await asyncio.sleep(0)

    @coroutine
    def _watched(self, body: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """``await body``, and note when each turn of it began.

        It hands on what ``body`` yields to the task and what the task sends or throws into it, as
        ``await`` does. This is the one place where suspending is seen, whatever the source is
        made of, and it costs a clock read per suspension instead of a turn per event.
        """
        resume, value = body.send, None
        while True:
            try:
                waiting = resume(value)
            except StopIteration:
                return
            try:
                value = yield waiting
            except BaseException as error:
                resume, value = body.throw, error
            else:
                resume = body.send
            self._turn_at = monotonic()

    async def _complete(self) -> None:
        if self._ended is None:
            self._sending = True
            if self._beat is not None:
                await self._beat
            body = self._frames.finish()
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _wait_for_leaving(self) -> None:
        # A server that cannot say any more whether the client is there has lost it.
        with contextlib.suppress(Exception):
            while (await self._receive())["type"] != "http.disconnect":
                pass
        self.end("client-left")

    async def _ping(self) -> None:
        data = PING_AMONG_IDS if self._frames.ids else PING
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception:
            self.end("client-left")
        finally:
            self._beat = None

    def _detach(self) -> None:
        self.closed = True
        self._heart.remove(self)
        self._watch.cancel()

    def _reason_for(self, caught: BaseException | None) -> Reason:
        if self._ended is not None:
            return self._ended
        if caught is None:
            return "complete"
        if self._is_cancelled_from_outside(caught):
            return "shutdown"
        return "client-left" if self._sending and isinstance(caught, OSError) else "error"

    def _is_cancelled_from_outside(self, caught: BaseException | None) -> bool:
        # A source may also raise CancelledError by itself, from a task of its own that was
        # cancelled; that is an error like any other.
        return (
            isinstance(caught, asyncio.CancelledError)
            and self._task.cancelling() > self._cancelling
        )

    async def _take_back_cancel(self, caught: BaseException | None) -> None:
        if not isinstance(caught, asyncio.CancelledError):
            # Either the source swallowed it, or it is still to come.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        self._task.uncancel()

    async def _say_last_words(self, reason: Reason, caught: BaseException | None) -> None:
        if reason == "send-timeout" and self._transport is not None:
            # Closing would wait for the client to read what is buffered.
            self._transport.abort()
        elif reason == "shutdown" and self._ended is not None:
            await self._try_to_send(self._frames.stopped())
        elif reason == "error" and not self._sending and not isinstance(caught, SourceFailed):
            log.error("the source of an event stream failed", exc_info=caught)
            expose = self._terms.expose_errors and caught is not None
            message = (str(caught) or type(caught).__name__) if expose else SOURCE_FAILED
            await self._try_to_send(self._frames.failed(message, "server_error"))

    async def _try_to_send(self, data: bytes) -> None:
        if not data:
            return
        # The client may be frozen or gone, and nothing cuts this write but the time.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _raise_to_server(self, reason: Reason, caught: BaseException | None) -> None:
        if self._is_cancelled_from_outside(caught):
            assert caught is not None
            raise caught
        if reason == "error":
            if self._sending and caught is not None:
                raise caught  # The server's own error, or that of a middleware.
            raise StreamBroken("the source failed, so the response is cut") from None


async def tell(on_close: OnClose | None, reason: Reason) -> None:
    """Call ``on_close``; what it raises is logged and goes no further."""
    if on_close is None:
        return
    try:
        result = on_close(reason)
        if inspect.isawaitable(result):
            await result
    except Exception:
        log.exception("on_close of an event stream failed")
