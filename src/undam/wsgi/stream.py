"""Event stream for WSGI: status, headers, and an iterator for the server."""

from __future__ import annotations

import http
import logging
import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, NamedTuple, TypedDict

from undam.asgi.answers.answer import AnswerFormat, format_of, frames_for
from undam.asgi.interface import Reason
from undam.asgi.response.frames import SOURCE_FAILED, Frames
from undam.asgi.response.headers import GivenHeaders, stream_headers
from undam.asgi.response.items import Encode, Item
from undam.asgi.response.limits import check_limits
from undam.asgi.response.openai_answer import OpenAIAnswer
from undam.asgi.response.streamed_response import OPENING, PING, PING_AMONG_IDS, StreamBroken
from undam.wsgi.source_thread import End, SourceThread, check_plain

log = logging.getLogger("undam.wsgi")

Source = Iterable[Item] | Callable[[], Iterable[Item]]
AnySource = Iterable[Any] | Callable[[], Iterable[Any]]
OnClose = Callable[[Reason], object]


class Options(TypedDict, total=False):
    """Keyword arguments for `event_stream`, for functions that pass them on."""

    heartbeat: float | None
    headers: GivenHeaders
    status: int
    openai: bool | OpenAIAnswer
    protocol: AnswerFormat | None
    on_close: OnClose | None
    expose_errors: bool
    encode: Encode | None
    thread_context: AbstractContextManager[object] | None


class StreamParts(NamedTuple):
    """Parts of a WSGI response; use ``start_response(status, headers); return body``."""

    status: str
    headers: list[tuple[str, str]]
    body: StreamBody


def event_stream(  # noqa: PLR0913 (independent options, all by keyword)
    source: AnySource,
    *,
    heartbeat: float | None = 15.0,
    headers: GivenHeaders = (),
    status: int = 200,
    openai: bool | OpenAIAnswer = False,
    protocol: AnswerFormat | None = None,
    on_close: OnClose | None = None,
    expose_errors: bool = False,
    encode: Encode | None = None,
    thread_context: AbstractContextManager[object] | None = None,
) -> StreamParts:
    """Return the items of ``source`` as an event stream for a WSGI server.

    Framing, headers, heartbeats and endings are the same as for `undam.asgi.EventStream`. WSGI has
    these limitations under every server:

    - A client disconnect is only detected when a write fails. With heartbeats, this happens at the
      second heartbeat after the disconnect. Until then, ``source`` continues.
    - Each stream occupies a thread of the server and a thread for ``source``, which must be a plain
      iterable.
    - The server decides when a write is sent (docs/serving.md lists servers that buffer). There is
      no ``send_timeout`` and no limit on the data buffered for a slow client, and streams are not
      ended when the server stops.

    Args:
        source: a plain iterable, or a function without arguments that returns an iterable. It runs
            in a thread, in a copy of the caller's context.
        on_close: called exactly once, in the server's thread, with the reason why the stream ended:
            ``complete``, ``error``, or ``client-left`` in all other cases.
        thread_context: context manager that the thread of ``source`` enters around it, for instance
            to close the database connections of that thread.

    The other arguments are the same as for `undam.asgi.EventStream`.

    Raises:
        UsageError: an argument is invalid.
    """
    check_plain(source)
    check_limits(heartbeat, None, 1)
    answer = format_of(openai, protocol)
    body = StreamBody(
        SourceThread(source, thread_context),
        frames_for(answer, encode),
        heartbeat=heartbeat,
        on_close=on_close,
        expose_errors=expose_errors,
    )
    raw = stream_headers(headers)
    raw += [] if answer is None else answer.headers
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in raw]
    return StreamParts(_status_line(status), pairs, body)


class StreamBody(Iterator[bytes]):
    """Iterator over complete events and comments; each step takes at most ``heartbeat`` seconds.

    If the source fails, an error event is returned and the next step raises `StreamBroken`, which
    keeps the server from ending the response cleanly. The server must call `close`.
    """

    __slots__ = (
        "_error",
        "_expose",
        "_frames",
        "_heartbeat",
        "_on_close",
        "_opened",
        "_reason",
        "_source",
    )

    def __init__(
        self,
        source: SourceThread,
        frames: Frames,
        *,
        heartbeat: float | None,
        on_close: OnClose | None,
        expose_errors: bool,
    ) -> None:
        self._source = source
        self._frames = frames
        self._heartbeat = heartbeat
        self._on_close = on_close
        self._expose = expose_errors
        self._opened = False
        self._reason: Reason | None = None
        self._error: BaseException | None = None

    def __next__(self) -> bytes:
        if self._reason == "error":
            self.close()
            raise StreamBroken("the source failed, so the response was cut off") from self._error
        if self._reason is not None:
            self.close()
            raise StopIteration
        if not self._opened:
            self._opened = True
            return OPENING
        if not self._source.started:
            # The source may block, so it is started only once the server has sent the response
            # head.
            self._source.start()
        return self._wait()

    def close(self) -> None:
        """Close the source and call ``on_close``. WSGI servers always call this method."""
        self._source.close()
        self._reason = self._reason or "client-left"
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            try:
                on_close(self._reason)
            except Exception:
                log.exception("on_close of an event stream failed")

    def _wait(self) -> bytes:
        due = None if self._heartbeat is None else monotonic() + self._heartbeat
        while True:
            try:
                item = self._source.get(None if due is None else max(0.0, due - monotonic()))
            except queue.Empty:
                return PING_AMONG_IDS if self._frames.ids else PING
            if isinstance(item, End):
                return self._finish() if item.error is None else self._fail(item.error)
            try:
                data = self._frames.encode(item)
            except Exception as error:
                return self._fail(error)
            if data:
                return data

    def _finish(self) -> bytes:
        self._reason = "complete"
        if data := self._frames.finish():
            return data
        self.close()
        raise StopIteration

    def _fail(self, error: BaseException) -> bytes:
        self._reason = "error"
        self._source.close()
        self._error = error
        # The traceback is not logged here: the server logs it as the cause of StreamBroken.
        log.error("the source of an event stream failed: %s: %s", type(error).__name__, error)
        message = (str(error) or type(error).__name__) if self._expose else SOURCE_FAILED
        return self._frames.error_event(message, "server_error")


def _status_line(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
