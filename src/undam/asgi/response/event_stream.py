"""`EventStream`: an ASGI response whose events are sent without delay."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from undam.asgi.interface import Receive, Scope, Send
from undam.asgi.replay.interface import Replay, ReplayGap, ReplayOver
from undam.asgi.replay.resume import (
    SourceFrom,
    SourceProducer,
    StoredFrames,
    last_event_id,
    read_after,
    read_from_start,
)
from undam.asgi.response.frames import Frames, PlainFrames
from undam.asgi.response.headers import GivenHeaders, stream_headers
from undam.asgi.response.limits import check_limits
from undam.asgi.response.openai_answer import ChatFrames, OpenAIAnswer
from undam.asgi.response.source import (
    Source,
    check_source,
    close_source,
    is_iterator,
    open_source,
)
from undam.asgi.response.streamed_response import (
    OnClose,
    StreamedResponse,
    StreamSettings,
    call_on_close,
)
from undam.errors import UsageError
from undam.http1.headers import RawHeaders


class EventStream:
    """ASGI application that serves the items of ``source`` as an event stream (WHATWG HTML 9.2).

    It can be returned wherever a framework accepts an ASGI application as a response, called
    directly (``await EventStream(…)(scope, receive, send)``), or used as a standalone application.

    Guarantees:

    - The response head and an opening comment are sent before ``source`` runs.
    - Each event is passed to the server before ``source`` suspends. The first event after a
      suspension is sent immediately; further events that ``source`` yields without suspending
      share one write. A source that never suspends yields to the loop after 64 events or 2 ms.
    - A comment is sent after ``heartbeat`` seconds without a write, including before the first
      event, in a form that every known client accepts.
    - When the client disconnects, ``source`` is cancelled at its current ``await`` and closed. A
      plain iterator is closed as soon as its current step returns.
    - A slow client pauses ``source``.
    - If ``source`` raises, an error event is sent and the response does not end cleanly, so that
      no client mistakes it for a complete answer. The error is logged once, by the logger
      ``undam.asgi``.

    The application must read the request body before the call; any unread part is discarded.

    Args:
        source: an async iterable, a plain iterable (which runs in its own thread), or a function
            without arguments that returns either. Only a function can serve several requests. Items
            are ``str`` (the data of an event), ``bytes`` (the data in UTF-8), ``dict`` (sent as
            JSON) or ``Event`` (with type and ID). Items must not contain event stream framing.
        heartbeat: interval of heartbeats in seconds; ``None`` disables them.
        headers: a mapping or pairs. They replace the default headers of the same name; the value
            ``None`` removes a header. ``Connection`` is dropped: only the server may set it.
        status: status code of the response.
        openai: send strings as the chunks of a chat completion, with role, finish reason, usage
            and ``[DONE]``. Pass an ``OpenAIAnswer`` to set the model, ID and other metadata.
        buffer_bytes: maximum data to buffer for a slow client in this process and its kernel. It
            applies under servers that expose their socket (see docs/servers.md).
        send_timeout: seconds after which a client that reads nothing is disconnected; ``None``
            for no limit.
        on_close: called exactly once per request, with the `Reason` why the stream ended. It may be
            a coroutine function.
        expose_errors: send the text of the source's exception to the client.
        replay: a store for the events. With it, a request with ``Last-Event-ID`` or
            ``?last_event_id=`` receives the events that the reader missed. The store assigns the
            IDs and replaces those of the source.
        replay_key: name of the stream in ``replay``. Anyone who knows it can read the stream.
        source_from: function that returns the source from a given position. The position is the
            number of items that have already become events; `Usage` and `Finish` do not count. If
            several processes share the store, another process can then continue the stream when
            this process dies.

    Raises:
        UsageError: an argument is invalid. When called as an application: the scope is not HTTP, or
            ``source`` is an iterator that an earlier request has exhausted.
    """

    def __init__(  # noqa: PLR0913 (independent options, all by keyword)
        self,
        source: Source,
        *,
        heartbeat: float | None = 15.0,
        headers: GivenHeaders = (),
        status: int = 200,
        openai: bool | OpenAIAnswer = False,
        buffer_bytes: int = 65536,
        send_timeout: float | None = None,
        on_close: OnClose | None = None,
        expose_errors: bool = False,
        replay: Replay | None = None,
        replay_key: str | None = None,
        source_from: SourceFrom | None = None,
    ) -> None:
        check_source(source)
        check_limits(heartbeat, send_timeout, buffer_bytes)
        if (replay is None) != (replay_key is None):
            raise UsageError("replay and replay_key must be given together")
        if source_from is not None and replay is None:
            raise UsageError("source_from requires replay")
        self._source = source
        self._answer = OpenAIAnswer() if openai is True else openai or None
        self._replay = replay
        self._replay_key = replay_key or ""
        self._source_from = source_from
        self._served = False
        self._settings = StreamSettings(
            status=status,
            headers=stream_headers(headers),
            heartbeat=heartbeat,
            buffer_bytes=buffer_bytes,
            send_timeout=send_timeout,
            on_close=on_close,
            expose_errors=expose_errors,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise UsageError(f"an event stream is served over HTTP, not {scope['type']}")
        if self._served and is_iterator(self._source):
            raise UsageError(
                "source is an iterator and was exhausted by the first request; pass a function"
            )
        self._served = True
        if scope["method"] == "HEAD":
            await self._answer_without_stream(send, self._settings.status, self._settings.headers)
        elif self._replay is None:
            try:
                items = open_source(self._source)
            except Exception:
                await call_on_close(self._settings.on_close, "error")
                raise
            await StreamedResponse(self._settings, items, self._frames(), receive, send).run(scope)
        else:
            await self._resume(self._replay, scope, receive, send)

    def _frames(self) -> Frames:
        answer = self._answer
        if answer is None:
            return PlainFrames()
        if self._replay_key and answer.id is None:
            # Another process that continues this answer must use the same ID.
            name = hashlib.sha256(self._replay_key.encode("utf-8", "replace")).hexdigest()
            answer = replace(answer, id=f"chatcmpl-{name[:32]}")
        return ChatFrames(answer)

    async def _resume(self, replay: Replay, scope: Scope, receive: Receive, send: Send) -> None:
        frames = self._frames()
        produce = SourceProducer(
            self._source,
            frames,
            expose_errors=self._settings.expose_errors,
            source_from=self._source_from,
        )
        last_id = last_event_id(scope)
        items: AsyncIterator[Any]
        try:
            if last_id is None:
                items = read_from_start(replay, self._replay_key, produce, frames)
            else:
                items = await read_after(replay, self._replay_key, last_id, produce, frames)
            await StreamedResponse(self._settings, items, StoredFrames(frames), receive, send).run(
                scope
            )
        except (ReplayGap, ReplayOver):
            await self._answer_without_stream(send, 204, [(b"cache-control", b"no-store")])
        finally:
            await produce.close_unused()

    async def _answer_without_stream(self, send: Send, status: int, headers: RawHeaders) -> None:
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await close_source(self._source)
            await call_on_close(self._settings.on_close, "complete")
