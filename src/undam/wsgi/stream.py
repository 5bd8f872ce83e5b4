"""An event stream as WSGI has it: a status, headers, and an iterator that the server pulls."""

from __future__ import annotations

import http
import logging
import queue
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, NamedTuple, TypedDict

from undam.asgi.interface import Reason
from undam.asgi.response.frames import SOURCE_FAILED, Frames, PlainFrames
from undam.asgi.response.headers import GivenHeaders, stream_headers
from undam.asgi.response.limits import check_limits
from undam.asgi.response.openai_answer import ChatFrames, OpenAIAnswer
from undam.asgi.response.streamed_response import OPENING, PING, PING_AMONG_IDS, StreamBroken
from undam.wsgi.source_thread import End, SourceThread, check_plain

log = logging.getLogger("undam.wsgi")

Source = Iterable[Any] | Callable[[], Iterable[Any]]
OnClose = Callable[[Reason], object]


class Options(TypedDict, total=False):
    """The keyword arguments of `event_stream`, for those that pass them on."""

    heartbeat: float | None
    headers: GivenHeaders
    status: int
    openai: bool | OpenAIAnswer
    on_close: OnClose | None
    expose_errors: bool


class StreamParts(NamedTuple):
    """What a WSGI application answers with: ``start_response(status, headers); return body``."""

    status: str
    headers: list[tuple[str, str]]
    body: StreamBody


def event_stream(  # noqa: PLR0913 (each is a promise of its own, and all are named)
    source: Source,
    *,
    heartbeat: float | None = 15.0,
    headers: GivenHeaders = (),
    status: int = 200,
    openai: bool | OpenAIAnswer = False,
    on_close: OnClose | None = None,
    expose_errors: bool = False,
) -> StreamParts:
    """Serve what ``source`` gives as an event stream, as `undam.asgi.EventStream` does.

    Framing, headers, heartbeats and endings are the same. What WSGI cannot do, whatever runs it:

    - It does not tell that the client has left before a write fails. With heartbeats that is found
      out at the next one but one, and until then ``source`` goes on.
    - Each stream holds one of the server's threads, and one of its own for ``source``, which must
      be a plain iterable.
    - Whether a write leaves at once is the server's affair (docs/serving.md says which hold it).
      No ``send_timeout``, no bound on what waits for a slow client, and nothing ends a stream
      when the server stops.

    Args:
        source: a plain iterable, or a function without arguments that returns one. It runs in a
            thread, in a copy of the context in which this is called.
        on_close: called exactly once, by the server's thread, with why the stream ended:
            ``complete``, ``error``, or ``client-left`` for every other way.

    The other arguments are those of `undam.asgi.EventStream`.

    Raises:
        UsageError: an argument that cannot be used.
    """
    check_plain(source)
    check_limits(heartbeat, None, 1)
    answer = OpenAIAnswer() if openai is True else openai or None
    frames: Frames = PlainFrames() if answer is None else ChatFrames(answer)
    body = StreamBody(
        SourceThread(source),
        frames,
        heartbeat=heartbeat,
        on_close=on_close,
        expose_errors=expose_errors,
    )
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in stream_headers(headers)]
    return StreamParts(_status_line(status), pairs, body)


class StreamBody(Iterator[bytes]):
    """Whole events and comments, one each step; a step takes ``heartbeat`` seconds at most.

    When the source fails, the last step but one gives an error event, and the last raises
    `StreamBroken`, so that the server cuts the response. The server must call `close`.
    """

    __slots__ = ("_expose", "_frames", "_heartbeat", "_on_close", "_opened", "_reason", "_source")

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

    def __next__(self) -> bytes:
        if self._reason == "error":
            self.close()
            raise StreamBroken("the source failed, so the response is cut")
        if self._reason is not None:
            self.close()
            raise StopIteration
        if not self._opened:
            self._opened = True
            return OPENING
        if not self._source.started:
            # Only now: the server has handed on the head, and the source may block at once.
            self._source.start()
        return self._wait()

    def close(self) -> None:
        """Close the source, and tell ``on_close``; the server calls it, in every case."""
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
        log.error("the source of an event stream failed", exc_info=error)
        message = (str(error) or type(error).__name__) if self._expose else SOURCE_FAILED
        return self._frames.error_event(message, "server_error")


def _status_line(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
