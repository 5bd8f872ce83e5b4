"""`EventStream`: an ASGI response that sends events without delay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypedDict, Unpack, overload

from undam.asgi.answers.answer import (
    ANSWER_KEY,
    Answer,
    AnswerFormat,
    check_key,
    format_of,
    frames_for,
)
from undam.asgi.interface import Receive, Scope, Send
from undam.asgi.replay.interface import Replay, ReplayGap, ReplayOver, ReplayUnknown
from undam.asgi.replay.resume import SourceFrom, StoredFrames, TaskScope, scoped_items
from undam.asgi.response.defaults import DEFAULT, OrDefault, chosen, stream_defaults
from undam.asgi.response.frames import Frames
from undam.asgi.response.headers import GivenHeaders, stream_headers
from undam.asgi.response.items import AnyItems, AnySource, Encode, Source
from undam.asgi.response.limits import check_first_item_timeout, check_limits
from undam.asgi.response.openai_answer import OpenAIAnswer
from undam.asgi.response.source import check_source, close_source, is_iterator, open_source
from undam.asgi.response.streamed_response import (
    OnClose,
    StreamedResponse,
    StreamSettings,
    call_on_close,
)
from undam.errors import UsageError
from undam.http1.headers import RawHeaders


class ResponseOptions(TypedDict, total=False):
    """Keyword arguments of all responses that send an event stream, except headers and status."""

    heartbeat: OrDefault[float | None]
    openai: bool | OpenAIAnswer
    protocol: AnswerFormat | None
    buffer_bytes: OrDefault[int]
    send_timeout: OrDefault[float | None]
    on_close: OnClose | None
    expose_errors: OrDefault[bool]
    first_item_timeout: float | None
    replay: Replay | None
    replay_key: str | None
    source_from: SourceFrom | None


class StreamOptions(ResponseOptions, total=False):
    """Keyword arguments of `EventStream`, for functions that pass them on."""

    headers: GivenHeaders
    status: int


class EventStream:
    """ASGI application that serves the items of ``source`` as an event stream (WHATWG HTML, 9.2).

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
            without arguments that returns either. Only a function can serve several requests. An
            item is text (the data of an event), an ``Event`` (with type, ID and ``retry``), a
            ``Comment``, a ``ReconnectHint``, ``Raw`` (framed bytes), or any value that is sent as
            JSON: dicts, lists, numbers, models, dataclasses, dates and others. ``None`` is skipped.
            The events of sse-starlette and fastapi.sse are accepted, too. An `Answer` is read
            instead of run.
        encode: function that converts an item to one of these types; ``None`` skips the item.
        heartbeat: interval of heartbeats in seconds; ``None`` disables them.
        headers: a mapping or pairs. They replace the default headers of the same name; the value
            ``None`` removes a header. ``Connection`` is dropped: only the server may set it.
        status: status code of the response.
        openai: send strings as the chunks of a chat completion, with role, finish reason, usage
            and ``[DONE]``. Pass an ``OpenAIAnswer`` to set the model, ID and other metadata.
        protocol: send the stream in the format of a user interface: ``UIMessageAnswer()`` for the
            AI SDK's ``useChat``, or ``AgUiRun(thread_id=…)`` for AG-UI.
        buffer_bytes: maximum data to buffer for a slow client in this process and its kernel. It
            applies under servers that expose their socket (see docs/servers.md).
        send_timeout: seconds after which a client that reads nothing is disconnected; ``None``
            for no limit.
        on_close: called exactly once per request, with the `Reason` why the stream ended. It may be
            a coroutine function.
        expose_errors: send the text of the source's exception to the client.
        first_item_timeout: seconds to wait for the first event before the head is sent. If the
            source fails within this time, the client receives an error status: that of an upstream
            (429 with ``Retry-After``), or the one that the framework gives to the exception.
            Afterwards the head is sent, and heartbeats follow. Default: the head is sent at once.
        replay: a store for the events. With it, a request with ``Last-Event-ID`` or
            ``?last_event_id=`` receives the events that the reader missed. The store assigns the
            IDs and replaces those of the source. `Answers` is the more complete interface.
        replay_key: name of one answer in ``replay``. Anyone who knows it can read the stream. A GET
            request reads along; any other request without an event ID starts a new answer, even if
            the key is in use.
        source_from: function that returns the source from a given position. The position is the
            number of items that have already become events; `Usage` and `Finish` do not count. If
            several processes share the store, another process can then continue the stream when
            this process dies.
        task_scope: resources for the source, for instance a database session: a function that
            returns an async context manager, or a FastAPI dependency with ``yield``. With a replay,
            the source outlives its request, whose own dependencies are closed when its reader
            leaves. The value of the context manager is passed to ``source``, which must be a
            function.

    Raises:
        UsageError: an argument is invalid. When called as an application: the scope is not HTTP, or
            ``source`` is an iterator that an earlier request has exhausted.
    """

    @overload
    def __init__(
        self, source: Source | Answer, *, encode: None = None, **options: Unpack[StreamOptions]
    ) -> None: ...
    @overload
    def __init__(
        self,
        source: Callable[[Any], AnyItems],
        *,
        task_scope: TaskScope,
        encode: Encode | None = None,
        **options: Unpack[StreamOptions],
    ) -> None: ...
    @overload
    def __init__(
        self, source: AnySource, *, encode: Encode, **options: Unpack[StreamOptions]
    ) -> None: ...
    def __init__(  # noqa: PLR0913 (independent options, all by keyword)
        self,
        source: Any,
        *,
        encode: Encode | None = None,
        heartbeat: OrDefault[float | None] = DEFAULT,
        headers: GivenHeaders = (),
        status: int = 200,
        openai: bool | OpenAIAnswer = False,
        protocol: AnswerFormat | None = None,
        buffer_bytes: OrDefault[int] = DEFAULT,
        send_timeout: OrDefault[float | None] = DEFAULT,
        on_close: OnClose | None = None,
        expose_errors: OrDefault[bool] = DEFAULT,
        first_item_timeout: float | None = None,
        replay: Replay | None = None,
        replay_key: str | None = None,
        source_from: SourceFrom | None = None,
        task_scope: TaskScope | None = None,
    ) -> None:
        defaults = stream_defaults()
        settings = StreamSettings(
            status=status,
            headers=stream_headers(headers),
            heartbeat=chosen(heartbeat, defaults.heartbeat),
            buffer_bytes=chosen(buffer_bytes, defaults.buffer_bytes),
            send_timeout=chosen(send_timeout, defaults.send_timeout),
            on_close=on_close,
            expose_errors=chosen(expose_errors, defaults.expose_errors),
            first_item_s=first_item_timeout or 0.0,
        )
        check_limits(settings.heartbeat, settings.send_timeout, settings.buffer_bytes)
        check_first_item_timeout(first_item_timeout)
        self._settings = settings
        self._served = False
        self._source = source
        self._encode = encode
        self._answer = format_of(openai, protocol)
        if isinstance(source, Answer):
            check_answer_arguments(replay, replay_key, source_from, task_scope)
            self._stored: Answer | None = source
            self._add_own_headers()
            return
        check_source(source)
        if task_scope is not None:
            check_task_scope(source, task_scope)
        if (replay is None) != (replay_key is None):
            raise UsageError("replay and replay_key must be given together")
        if source_from is not None and replay is None:
            raise UsageError("source_from requires replay")
        self._stored = None
        self._task_scope = task_scope
        if replay is not None:
            self._stored = self._under_key(replay, replay_key, source_from)
        self._add_own_headers()

    def _add_own_headers(self) -> None:
        headers = self._settings.headers
        given = {name for name, _ in headers}
        headers.extend(one for one in self.own_headers if one[0] not in given)

    def _under_key(
        self, replay: Replay, replay_key: str | None, source_from: SourceFrom | None
    ) -> Answer:
        return Answer(
            store=replay,
            key=check_key(replay_key, "replay_key"),
            name=replay_key or "",
            answer=self._answer,
            source=self._source,
            source_from=source_from,
            task_scope=self._task_scope,
            encode=self._encode,
            mode="join",
        )

    @property
    def own_headers(self) -> RawHeaders:
        """Response headers for the stream format and, if reported, for the answer's key."""
        stored = self._stored
        chosen_format = self._answer if stored is None else stored.answer
        headers = [] if chosen_format is None else list(chosen_format.headers)
        if stored is not None and stored.announced:
            headers.append((ANSWER_KEY, stored.key.encode()))
        return headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise UsageError(f"an event stream is served over HTTP, not {scope['type']}")
        if self._served and is_iterator(self._source):
            raise UsageError(
                "source is an iterator that the first request has exhausted; pass a function"
            )
        self._served = True
        if scope["method"] == "HEAD":
            await self._answer_without_stream(send, self._settings.status, self._settings.headers)
        elif self._stored is not None:
            await self._resume(self._stored, scope, receive, send)
        else:
            try:
                items = self._opened()
            except Exception:
                await call_on_close(self._settings.on_close, "error")
                raise
            frames = self._new_frames()
            await StreamedResponse(self._settings, items, frames, receive, send).run(scope)

    def _new_frames(self) -> Frames:
        return frames_for(self._answer, self._encode)

    def _opened(self) -> AsyncIterator[Any]:
        if self._task_scope is None:
            return open_source(self._source)
        return scoped_items(self._source, self._task_scope)

    async def _resume(self, stored: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        reading = stored.reading(scope, expose_errors=self._settings.expose_errors)
        try:
            items = await reading.open()
            await StreamedResponse(
                self._settings, items, StoredFrames(reading.frames), receive, send
            ).run(scope)
        except ReplayUnknown:
            if stored.mode != "existing":
                raise
            await self._answer_without_stream(send, 404, [(b"cache-control", b"no-store")])
        except (ReplayGap, ReplayOver):
            await self._answer_without_stream(send, 204, [(b"cache-control", b"no-store")])
        finally:
            await reading.close_unused()

    async def _answer_without_stream(self, send: Send, status: int, headers: RawHeaders) -> None:
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if self._stored is None or self._stored.mode == "join":
                await close_source(self._source)
            await call_on_close(self._settings.on_close, "complete")


def check_answer_arguments(*arguments: object) -> None:
    """Reject arguments that an `Answer` has already set.

    Raises:
        UsageError: one of them is not None.
    """
    if any(argument is not None for argument in arguments):
        raise UsageError(
            "an Answer has its own replay, replay_key, source_from and task_scope; "
            "pass them to Answers.start()"
        )


def check_task_scope(source: object, task_scope: object) -> None:
    """Check that ``source`` can receive the value of ``task_scope``.

    Raises:
        UsageError: ``source`` is not a function, or ``task_scope`` cannot be called.
    """
    if not callable(source) or is_iterator(source):
        raise UsageError("source must be a function, because it receives the value of task_scope")
    if not callable(task_scope):
        raise UsageError("task_scope must be a function that returns an async context manager")
