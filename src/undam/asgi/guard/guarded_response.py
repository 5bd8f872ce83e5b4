"""One guarded request: inspection of the application's messages, and protection of its stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

from undam.asgi.interface import App, Message, Receive, Scope, Send, outcome_in
from undam.asgi.response.driven_response import TURN_EVENTS, TURN_S, DrivenResponse
from undam.asgi.response.headers import guarded_headers
from undam.asgi.response.streamed_response import PING, PING_AMONG_IDS, StreamBroken
from undam.asgi.server.sockets import reset_http2_stream

EVENT_STREAM_TYPE = b"text/event-stream"
NDJSON_TYPES = frozenset(
    {
        b"application/x-ndjson",
        b"application/ndjson",
        b"application/jsonl",
        b"application/x-jsonlines",
        b"application/json-lines",
    }
)

# A single CR at the end is not listed, because it may be the first half of a CRLF. The LF would
# then end a second block.
_EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_TAIL = 4

_ABNORMAL_ENDS = frozenset({"error", "shutdown", "send-timeout"})


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Settings of a `StreamGuard`."""

    heartbeat: float | None
    ndjson_heartbeat: bytes | None
    buffer_bytes: int
    send_timeout: float | None


class GuardedResponse(DrivenResponse):
    """Response of a guarded application, with heartbeats and time limits if it is a stream.

    Messages pass through unchanged unless the response is a stream. For a stream, this class adds
    heartbeats, enforces the send limit and detects disconnects.
    """

    __slots__ = (
        "_arrived",
        "_count",
        "_disconnect_task",
        "_guard_settings",
        "_ids",
        "_inbox",
        "_is_ndjson",
        "_listening",
        "_outcome",
        "_read",
        "_scope",
        "_started",
        "_suppressed_end",
        "_tail",
    )  # fmt: skip

    def __init__(self, settings: GuardSettings, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(receive, send, None, settings.send_timeout)
        self._guard_settings = settings
        self._scope = scope
        self._outcome = outcome_in(scope)
        self._suppressed_end = False
        self._started = False
        self._is_ndjson = False
        self._ids = False
        self._tail = b""
        self._count = 0
        self._listening = 0
        self._disconnect_task: asyncio.Task[None] | None = None

    async def run(self, app: App, scope: Scope) -> None:
        """Serve the request. Exceptions from the application are re-raised to the server."""
        self._bind_task()
        caught: BaseException | None = None
        try:
            await self._drive(_run_app(app, scope, self.receive, self.send))
        except (Exception, asyncio.CancelledError) as error:
            caught = error
        finally:
            if self._started and not self.closed:
                self._detach()
        if self._end_reason is not None:
            await self._absorb_cancellation(caught)
            if self._end_reason == "send-timeout":
                await self._abort(scope)
            if isinstance(caught, asyncio.CancelledError) and not self._is_cancelled_externally(
                caught
            ):
                return
        if caught is None and self._suppressed_end and self._outcome.reason == "error":
            caught = self._broken()  # An inner middleware suppressed the exception.
        if caught is not None:
            if self._started and isinstance(caught, Exception):
                await reset_http2_stream(scope, self._send)
            raise caught

    def _broken(self) -> StreamBroken:
        error = StreamBroken("the source failed, so the response was cut off")
        error.__cause__ = self._outcome.error
        return error

    async def receive(self) -> Message:
        """Return the next message for the application."""
        self._listening += 1
        try:
            while self._disconnect_task is not None:
                if self._inbox:
                    # The disconnect message stays in the queue for later calls.
                    last = self._inbox[0]["type"] == "http.disconnect"
                    message = self._inbox[0] if last else self._inbox.popleft()
                    self._read.set()
                    return message
                self._arrived.clear()
                await self._arrived.wait()
            return await self._receive()
        finally:
            self._listening -= 1

    async def send(self, message: Message) -> None:
        """Pass on a message from the application. If it starts a stream, protect that stream."""
        if self._started:
            is_body = message["type"] == "http.response.body"
            if is_body and self._outcome.reason in _ABNORMAL_ENDS and not message.get("more_body"):
                # Inner middleware, such as Starlette's BaseHTTPMiddleware, has caught the stream's
                # exception. Without this check, it would end the response cleanly.
                self._suppressed_end = True
                if self._outcome.reason == "error":
                    raise self._broken()
                return
            if not self.closed and is_body:
                await self._send_body(message)
                return
        elif message["type"] == "http.response.start":
            self._started = True
            headers = list(message.get("headers", ()))
            if self._is_stream(headers):
                message = self._start(message, headers)
            else:
                self.closed = True
        await self._send(message)

    def heartbeat_bytes(self) -> bytes:
        """Return the heartbeat (an SSE comment or NDJSON line); empty within an event or a line."""
        if self._is_ndjson:
            at_boundary = not self._tail or self._tail.endswith(b"\n")
            return self._guard_settings.ndjson_heartbeat or b"" if at_boundary else b""
        if self._tail and not self._tail.endswith(_EVENT_ENDS):
            return b""
        return PING_AMONG_IDS if self._ids else PING

    def _is_stream(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        for name, value in headers:
            if name.lower() == b"content-type":
                kind = value.split(b";")[0].strip().lower()
                self._is_ndjson = kind in NDJSON_TYPES
                return self._is_ndjson or kind == EVENT_STREAM_TYPE
        return False

    def _start(self, message: Message, headers: list[tuple[bytes, bytes]]) -> Message:
        names = {name.lower() for name, _ in headers}
        settings = self._guard_settings
        # Heartbeats cannot be inserted into compressed data or into a body with a fixed length.
        fixed = b"content-length" in names or b"content-encoding" in names
        wanted = not self._is_ndjson or settings.ndjson_heartbeat is not None
        if wanted and not fixed and self._scope["method"] != "HEAD":
            self._heartbeat = settings.heartbeat
        self._register(self._scope, settings.buffer_bytes)
        if self._listening == 0:
            self._watch_client()
        return {**message, "headers": guarded_headers(headers)}

    async def _send_body(self, message: Message) -> None:
        last = not message.get("more_body", False)
        if last:
            self._detach()
            if self._heartbeat_task is not None:
                await self._heartbeat_task
        else:
            self._track(message.get("body", b""))
        self._wrote_at = now = monotonic()
        self._sending = True
        await self._send(message)
        self._sending = False
        self._count += 1
        if not last and (self._count >= TURN_EVENTS or now - self._turn_at > TURN_S):
            self._count = 0
            await asyncio.sleep(0)

    def _track(self, body: bytes) -> None:
        if self._heartbeat is None:
            return
        recent = self._tail + body
        # "id:" may also occur in event data, which is harmless: heartbeats then use the form that
        # is safe among event IDs.
        self._ids = self._ids or b"id:" in recent
        self._tail = recent[-_TAIL:]

    def _watch_client(self) -> None:
        self._inbox: deque[Message] = deque()
        self._arrived, self._read = asyncio.Event(), asyncio.Event()
        self._disconnect_task = self._task.get_loop().create_task(
            self._prefetch_messages(), name="undam disconnect"
        )

    async def _prefetch_messages(self) -> None:
        """Receive messages for the application, so that a disconnect is detected immediately.

        No message is lost, because all of them are queued for the application.
        """
        message: Message = {}
        while message.get("type") != "http.disconnect":
            try:
                message = await self._receive()
            except Exception:  # if `receive` raises, the client connection is lost
                message = {"type": "http.disconnect"}
            self._inbox.append(message)
            self._arrived.set()
            if message.get("more_body", False):
                # To propagate backpressure, read the next part only after the application has
                # received this one.
                self._read.clear()
                await self._read.wait()
        if self._listening == 0:
            self.end("client-left")

    def _detach(self) -> None:
        super()._detach()
        if self._disconnect_task is not None:
            self._disconnect_task.cancel()
            self._disconnect_task = None
            self._arrived.set()


async def _run_app(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)
