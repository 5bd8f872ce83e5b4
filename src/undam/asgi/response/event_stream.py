"""A response that cannot be held back: `EventStream`. Nothing runs before it is called."""

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
    is_used_up_by_one,
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
    """Serve what ``source`` gives as an event stream (WHATWG HTML 9.2), each event at once.

    It is an ASGI application, so it can be returned where a response is expected that is one
    (``await EventStream(…)(scope, receive, send)``), or be an application by itself.

    What it promises:

    - The head and an opening comment leave before ``source`` is asked for anything.
    - Every event is handed to the server before ``source`` waits for anything. The first one of a
      turn of the loop goes at once; those that ``source`` gives after it without suspending
      share one write. A source that never suspends hands over control after 64 events or 2 ms.
    - A comment goes out after ``heartbeat`` seconds without any write, before the first event
      too, in the form that no known client chokes on.
    - When the client leaves, ``source`` is cancelled where it waits and closed; a plain iterator
      is closed as soon as its step under way returns.
    - A slow client pauses ``source``.
    - ``source`` raising gives an error event and an end that no client takes for a complete
      answer; the error is logged once, on the logger ``undam.asgi``.

    The request's body is the caller's to read before; what is left of it is thrown away.

    Args:
        source: an async iterable, a plain one (it runs in a thread of its own), or a function
            without arguments that returns one, which then can serve many requests. It gives
            ``str`` (an event's data), ``bytes`` (the same in UTF-8; never a framed event),
            ``dict`` (sent as JSON) and ``Event`` (with type and id).
        heartbeat: seconds; ``None`` sends none.
        headers: a mapping or pairs. They replace those of the stream by name, ``None`` removes
            one. ``Connection`` is the server's and is dropped.
        status: of the response.
        openai: send strings as the chunks of a chat completion, with role, finish reason, usage
            and ``[DONE]``; an ``OpenAIAnswer`` says which model, id and so on.
        buffer_bytes: how much may wait for a slow client in this process and its kernel, where
            the server lets its socket be seen (see docs/servers.md).
        send_timeout: seconds after which a client that takes nothing is cut; ``None`` waits.
        on_close: called exactly once for each request, with why its stream ended; may be a
            coroutine function.
        expose_errors: send the text of the source's error to the client.
        replay: keep the events, so that a request with ``Last-Event-ID`` or ``?last_event_id=``
            gets what it missed. The store gives the ids; those of the source's are replaced.
        replay_key: names the stream in ``replay``; whoever knows it can read the stream.
        source_from: gives the source from a position on, the number of its items that became
            events before (`Usage` and `Finish` are none). With it, and a store that several
            processes share, another one goes on where a process that died stopped.

    Raises:
        UsageError: an argument that cannot be used; on a call: the scope is not HTTP's, or
            ``source`` is an iterator that an earlier request has used up.
    """

    def __init__(  # noqa: PLR0913 (each is a promise of its own, and all are named)
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
            raise UsageError("replay and replay_key need each other")
        if source_from is not None and replay is None:
            raise UsageError("source_from is for a replay, and there is none")
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
        if self._served and is_used_up_by_one(self._source):
            raise UsageError("source is an iterator, used up by the first request; give a function")
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
            # Another process may go on with this answer, and must call it the same.
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
