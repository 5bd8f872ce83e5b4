"""Response for an `EventStream`: passes the source's items to the server's ``send``.

The request's own task runs the source. A second task waits for the client's disconnect. Heartbeats
are sent by the loop's deadline timer, as whole comments between whole events.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from undam.asgi.interface import Reason, Receive, Scope, Send, outcome_in
from undam.asgi.replay.interface import AnswerStopped, ReplayGap, SourceFailed, SourceLost
from undam.asgi.response.driven_response import TURN_EVENTS, TURN_S, DrivenResponse
from undam.asgi.response.frames import SOURCE_FAILED, Frames
from undam.asgi.response.refusal import SHUTTING_DOWN, ErrorResponse, UpstreamRefused, refusal_of
from undam.asgi.response.source import close_source
from undam.asgi.server.sockets import (
    is_indirect,
    reset_http2_stream,
    server_logs_exceptions,
)
from undam.errors import UndamError
from undam.http1.headers import RawHeaders
from undam.secrecy import redact_text
from undam.sse import encode_comment

log = logging.getLogger("undam.asgi")

OnClose = Callable[[Reason], Awaitable[None] | None]

OPENING = encode_comment("open")
"""Opening comment. It has a single line end, so it belongs to the block of the first event. Every
known client accepts this."""
PING = encode_comment("ping", blank_line=True)
PING_AMONG_IDS = encode_comment("ping")
"""Heartbeat for streams with event IDs. After an ID, openai-python treats a comment with a blank
line as an event without data."""

FINAL_EVENT_TIMEOUT_S = 1.0
"""Time limit for sending the last event, such as an error event."""
MIDDLEWARE_WRITE_S = 0.02
"""Time for a middleware to write the last event before its connection is closed."""


class StreamBroken(UndamError):
    """The source failed. Raised to the server, so that the response does not end cleanly."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """`EventStream` settings that all of its responses share."""

    status: int
    headers: RawHeaders
    heartbeat: float | None
    buffer_bytes: int
    send_timeout: float | None
    on_close: OnClose | None
    expose_errors: bool
    first_item_s: float = 0.0


class StreamedResponse(DrivenResponse):
    """Response of an `EventStream` to one request, from the response head to the end."""

    __slots__ = ("_disconnect_task", "_frames", "_items", "_open_by", "_opened", "_settings")

    def __init__(
        self,
        settings: StreamSettings,
        items: AsyncIterator[Any],
        frames: Frames,
        receive: Receive,
        send: Send,
    ) -> None:
        super().__init__(receive, send, settings.heartbeat, settings.send_timeout)
        self._settings = settings
        self._items = items
        self._frames = frames
        self._opened = False
        self._open_by = inf

    async def run(self, scope: Scope) -> None:
        """Serve the stream, and return when it has ended for any reason.

        Raises:
            StreamBroken: the source failed; its exception is the cause. An error event was sent.
            Exception: the source failed before its first event, within ``first_item_s`` seconds, so
                nothing was sent.
            CancelledError: the request's task was cancelled from outside.
        """
        settings = self._settings
        self._bind_task()
        self._register(scope, settings.buffer_bytes)
        self._disconnect_task = self._task.get_loop().create_task(
            self._watch_disconnect(), name="undam disconnect"
        )
        caught: BaseException | None = None
        try:
            if settings.first_item_s:
                self._open_by = monotonic() + settings.first_item_s
                self._timer.schedule(self, self._open_by)
            else:
                await self._open()
            await self._drive(self._send_items())
            await self._complete()
        except (Exception, asyncio.CancelledError) as error:
            caught = error
        except BaseException:  # the process or event loop is ending, so nothing can be awaited
            self._detach()
            raise
        self._detach()
        reason = self._reason_for(caught)
        outcome = outcome_in(scope)
        outcome.reason, outcome.error = reason, caught if reason == "error" else None
        refusal: ErrorResponse | None = None
        try:
            if self._end_reason is not None:
                await self._absorb_cancellation(caught)
            if self._heartbeat_task is not None and not self._opened:
                await asyncio.wait([self._heartbeat_task], timeout=FINAL_EVENT_TIMEOUT_S)
            if self._opened or self._sending:
                await self._send_final_event(scope, reason, caught)
            else:
                refusal = await self._refuse(reason, caught)
        finally:
            try:
                await close_source(self._items)
            finally:
                await call_on_close(settings.on_close, reason)
        if refusal is None:
            self._raise_to_server(reason, caught)

    async def _refuse(self, reason: Reason, caught: BaseException | None) -> ErrorResponse | None:
        """Send an error response if the stream ended before its response head was sent.

        If the exception has no status, nothing is sent, and the framework handles the exception.
        """
        refusal = SHUTTING_DOWN if reason == "shutdown" else None
        if reason == "error" and caught is not None:
            refusal = refusal_of(caught)
        if refusal is not None:
            why = redact_text(str(caught))
            log.warning("an event stream was answered with status %d: %s", refusal.status, why)
            await refusal.send(self._send)
        return refusal

    def on_deadline(self, now: float) -> float:
        """Send the response head if the first event is late. Afterwards, act as the base class."""
        if self._opened:
            return super().on_deadline(now)
        if self._heartbeat_task is None and now >= self._open_by:
            self._heartbeat_task = self._task.get_loop().create_task(
                self._open_early(), name="undam head", context=self._context
            )
        return self._open_by if now < self._open_by else now + (self._heartbeat or 1.0)

    async def _open_early(self) -> None:
        try:
            await self._open()
        except Exception:
            self.end("client-left")
        finally:
            self._heartbeat_task = None

    async def _first_item(self) -> bytes:
        """Send the head when the first event is available; return that event, or empty bytes."""
        data = b""
        async for item in self._items:
            if data := self._frames.encode(item):
                break
        if self._heartbeat_task is not None:
            await self._heartbeat_task
        if not self._opened:
            await self._open()
        return data

    async def _open(self) -> None:
        self._sending = True
        await self._send(
            {
                "type": "http.response.start",
                "status": self._settings.status,
                "headers": self._settings.headers,
            }
        )
        await self._send({"type": "http.response.body", "body": OPENING, "more_body": True})
        self._opened = True
        self._sending = False
        # uvloop writes only at the end of a loop iteration. Suspend now, because the source's first
        # step may block the loop.
        await asyncio.sleep(0)

    async def _send_items(self) -> None:
        """Write the source's events: the first of each turn immediately, the others together.

        A turn is the time between two suspensions of the source. The first event of a turn is never
        delayed. The others share one write, which `_drive` makes as soon as the source suspends. So
        no event waits for an event that is not ready.
        """
        encode, send = self._frames.encode, self._send
        max_bytes = self._settings.buffer_bytes // 4
        computes = False
        if not self._opened and (data := await self._first_item()):
            self._turn_events = 1
            self._sending = True
            await send({"type": "http.response.body", "body": data, "more_body": True})
            self._sending = False
        async for item in self._items:
            if not (data := encode(item)):
                continue
            if not self._turn_events:
                self._turn_events = 1
                self._wrote_at = self._turn_at
                self._sending = True
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sending = False
                # If the source computes between events without suspending, send each event before
                # the next one is computed. For sources that suspend, this clock read is skipped.
                if not computes or monotonic() - self._turn_at <= TURN_S:
                    continue
            elif self._end_reason is not None:
                return  # the source ignored its cancellation
            else:
                self._check_no_write_interrupted()
                self._add_pending(data)
                computes = monotonic() - self._turn_at > TURN_S
                if (
                    not computes
                    and self._pending_bytes < max_bytes
                    and self._turn_events < TURN_EVENTS
                ):
                    continue
                await self._write_pending()
            await asyncio.sleep(0)

    def _add_pending(self, data: bytes) -> None:
        if self._pending is None:
            self._pending = []
        self._pending.append(data)
        self._pending_bytes += len(data)
        self._turn_events += 1

    def _check_no_write_interrupted(self) -> None:
        if self._sending:
            # A timeout inside the source fired while its events waited for a slow client. Some of
            # these events may not have been sent, so no later event may follow them.
            raise RuntimeError("the source's timeout interrupted a write to a slow client")

    async def _complete(self) -> None:
        if self._end_reason is None:
            self._check_no_write_interrupted()
            self._sending = True
            if self._heartbeat_task is not None:
                await self._heartbeat_task
            body = self._take_pending() + self._frames.finish()
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def heartbeat_bytes(self) -> bytes:
        """Return a heartbeat comment, whose form depends on whether event IDs have been sent."""
        return PING_AMONG_IDS if self._frames.ids else PING

    def _detach(self) -> None:
        super()._detach()
        self._disconnect_task.cancel()

    def _reason_for(self, caught: BaseException | None) -> Reason:
        if self._end_reason is not None:
            return self._end_reason
        if caught is None:
            return "complete"
        if isinstance(caught, AnswerStopped):
            return "stopped"
        if self._is_cancelled_externally(caught):
            return "shutdown"
        return "client-left" if self._sending and isinstance(caught, OSError) else "error"

    async def _send_final_event(
        self, scope: Scope, reason: Reason, caught: BaseException | None
    ) -> None:
        if reason == "send-timeout":
            await self._abort(scope)
        elif reason == "stopped":
            data = self._take_pending() + self._frames.stopped_event()
            await self._try_to_send(data, more_body=False)
        elif reason == "shutdown" and self._end_reason is not None:
            await self._try_to_send(self._take_pending() + self._frames.shutdown_event())
            await self._prevent_clean_end(scope)
        elif reason == "error":
            if not self._sending:
                await self._try_to_send(self._take_pending() + self._error_event(caught))
            await self._prevent_clean_end(scope)

    async def _prevent_clean_end(self, scope: Scope) -> None:
        """Prevent a clean end of the response where raising the exception is not sufficient."""
        await reset_http2_stream(scope, self._send)
        if self._transport is None:
            return
        if is_indirect(self._send):
            # The middleware may write the last event in another task, so wait for that write before
            # closing.
            await asyncio.sleep(MIDDLEWARE_WRITE_S)
            self._transport.close()
        elif self._end_reason is None:
            # Middleware may suppress the exception that is raised next, and end the response.
            self._transport.close()
            await asyncio.sleep(0)

    def _error_event(self, caught: BaseException | None) -> bytes:
        """Log the source's error, and return the error event for the client."""
        if isinstance(caught, SourceFailed):
            return b""  # The store logged the error and stored an error event.
        if isinstance(caught, UpstreamRefused) and caught.event:
            log.warning("the upstream of an event stream failed: %s", caught)
            return caught.event
        if isinstance(caught, SourceLost | ReplayGap):
            # The failure occurred outside this reader's request, and the store has logged it.
            log.warning("an event stream was cut off for one reader: %s", caught)
        else:
            # The exception is the cause of StreamBroken, so most servers log its traceback.
            trace = None if server_logs_exceptions(self._send) else caught
            log.error("the source of an event stream failed: %s", _named(caught), exc_info=trace)
        expose = self._settings.expose_errors and caught is not None
        message = (str(caught) or type(caught).__name__) if expose else SOURCE_FAILED
        return self._frames.error_event(message, "server_error")

    async def _try_to_send(self, data: bytes, *, more_body: bool = True) -> None:
        if not data and more_body:
            return
        # If the client is frozen or gone, only this time limit ends the write.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FINAL_EVENT_TIMEOUT_S):
                message = {"type": "http.response.body", "body": data, "more_body": more_body}
                await self._send(message)

    def _raise_to_server(self, reason: Reason, caught: BaseException | None) -> None:
        if self._is_cancelled_externally(caught):
            assert caught is not None
            raise caught
        if reason == "error":
            if self._sending and caught is not None:
                raise self._write_error or caught  # the server or a middleware failed
            if not self._opened and caught is not None:
                raise caught  # nothing was sent, so the framework can answer

            # `SourceFailed` comes from a replay store; its cause is the source's exception.
            cause = caught.__cause__ if isinstance(caught, SourceFailed) else caught
            raise StreamBroken("the source failed, so the response was cut off") from cause


def _named(error: BaseException | None) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if str(error) else name


async def call_on_close(on_close: OnClose | None, reason: Reason) -> None:
    """Call ``on_close``. Its exceptions are logged and suppressed."""
    if on_close is None:
        return
    try:
        result = on_close(reason)
        if inspect.isawaitable(result):
            await result
    except Exception:
        log.exception("on_close of an event stream failed")
