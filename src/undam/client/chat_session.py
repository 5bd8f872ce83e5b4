"""Shared base of `Chat` and `AsyncChat` without I/O: time limits, errors and reconnects.

The HTTP library is httpx or httpx2. Its classes are looked up in the module of the client in use,
so neither library is imported before a request is made.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from undam.client.answer_assembler import AnswerAssembler
from undam.client.body_form import JSON_LINES
from undam.client.chat_request import ChatRequest
from undam.client.deltas import CONTENT, Delta, ToolCall, Usage
from undam.client.responses import library_of
from undam.client.timing import Timing
from undam.errors import (
    AnswerError,
    IdleTimeout,
    IncompleteStream,
    NetworkError,
    Phase,
    ResponseError,
    TtftTimeout,
    UndamError,
    UsageError,
)
from undam.record import redact_text, redact_url, secrets_of

LIBRARIES = ("httpx", "httpx2")

MAX_REFUSAL_BYTES = 65536
"""Maximum number of bytes to read from an error response, whose beginning is shown."""
_SHOWN_CHARACTERS = 600

# Maximum number of consecutive reconnects without new data. A browser's EventSource never gives up,
# but a caller of this client is waiting for the answer.
_MAX_ATTEMPTS = 3
_RETRY_S = 0.5
_MAX_RETRY_S = 30.0

_TRANSIENT_STATUS = {429, 500, 502, 503, 504}
_NO_STREAM = JSON_LINES | {
    "application/json",
    "application/problem+json",
    "application/xml",
    "text/html",
    "text/xml",
}


def library_for(client: object) -> Any:
    """Return the library of an HTTP client. Without a client, prefer httpx to httpx2.

    Raises:
        UsageError: the client is from another library, or neither library is installed.
    """
    if client is not None:
        name = library_of(client, LIBRARIES)
        if name is None:
            raise UsageError(f"http_client must be from httpx or httpx2, not {type(client)!r}")
        return sys.modules[name]
    for name in LIBRARIES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise UsageError("undam.client.chat requires httpx: pip install 'undam[client]'")


class ChatSession:
    """State of one chat request and its answer, across reconnects.

    Attributes:
        timing: times at which this reader received the response; complete after the stream ends.
        status: status code, once the response head has arrived.
        headers: response headers, once the head has arrived.
    """

    def __init__(self, request: ChatRequest, library: Any, timing: Timing | None) -> None:
        self.timing = timing or Timing()
        self._owns_timing = timing is None
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self._request = request
        self._lib = library
        self._answer = AnswerAssembler(
            request.api, choices=request.choices, max_event_bytes=request.max_event_bytes
        )
        self._started: float | None = None
        self._waits_for_content = True
        self._attempts = 0

    @property
    def text(self) -> str:
        """Text received so far."""
        return self._answer.text

    @property
    def reasoning(self) -> str:
        """Reasoning text received so far."""
        return self._answer.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Tool calls received so far, with the pieces of each call joined."""
        return self._answer.tool_calls

    @property
    def usage(self) -> Usage:
        """Token counts that the server has sent."""
        return self._answer.usage

    @property
    def finish_reason(self) -> str | None:
        """Finish reason in the API's own terms; ``None`` before it has arrived."""
        return self._answer.finish_reason

    @property
    def is_complete(self) -> bool:
        """True once the stream has confirmed that the answer is complete."""
        return self._answer.is_complete

    def _build_request(self, client: Any) -> Any:
        """Return the HTTP request to send now, with the remaining time and the last event ID."""
        request, left = self._request, self._ttft_left_s()
        connect, read = _least(request.connect_s, left), _least(request.idle_s, left)
        headers = dict(request.headers)
        if self._answer.last_event_id:
            headers["Last-Event-ID"] = self._answer.last_event_id
            self._answer.start_resumed_stream()
        return client.build_request(
            "POST",
            request.url,
            headers=headers,
            content=request.body,
            timeout=(connect, read, request.idle_s, connect),
        )

    def _receive_head(self, response: Any) -> bool:
        """Process the response head; return whether a stream follows."""
        self.timing.head()
        self.status = response.status_code
        self.headers = response.headers
        # So far, the read timeout also included the time left for the first content. Set the idle
        # timeout now, because the HTTP library reads this field only once, at the first read of the
        # body.
        response.request.extensions["timeout"]["read"] = self._request.idle_s
        return 200 <= response.status_code < 300 and self._kind not in _NO_STREAM

    @property
    def _kind(self) -> str:
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def _refused(self, body: bytes) -> ResponseError:
        """Return the error for a response that is not a stream; ``body`` is its beginning."""
        assert self.status is not None
        text = " ".join(body.decode("utf-8", "replace").split())[:_SHOWN_CHARACTERS]
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
        try:
            phrase = f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = str(self.status)
        what = f" with {self._kind}, which is not an event stream"
        if target := self.headers.get("location"):
            what = f", a redirect to {redact_url(str(target))}"
        elif not 200 <= self.status < 300:
            what = ""
        colon = ": " if text else ""
        shown = redact_text(text, secrets_of(self._request.headers.items()))
        return ResponseError(f"{self._where} answered {phrase}{what}{colon}{shown}")

    def _receive_data(self, data: bytes) -> list[Delta]:
        """Return the deltas in one read of the body."""
        heartbeats = self._answer.heartbeats
        deltas = self._answer.receive_data(data)
        self.timing.heartbeats += self._answer.heartbeats - heartbeats
        self.timing.read(deltas)
        if deltas:
            self._attempts = 0
        if self._waits_for_content and any(isinstance(one, CONTENT) for one in deltas):
            self._waits_for_content = False
        return deltas

    def _ttft_left_s(self) -> float | None:
        """Return the seconds left for the first content; ``None`` if there is no limit.

        Raises:
            TtftTimeout: the limit has passed.
        """
        now = time.monotonic()
        if self._started is None:
            self._started = now
            if self._owns_timing:
                self.timing.start()
        if self._request.ttft_s is None or not self._waits_for_content:
            return None
        left = self._started + self._request.ttft_s - now
        if left <= 0:
            raise self._ttft_timeout()
        return left

    def _ttft_timeout(self) -> AnswerError:
        what = f"no content arrived within {self._request.ttft_s:g} s (ttft_timeout)"
        heartbeats = f"{self._answer.heartbeats} heartbeats did"
        return self._answer.error(TtftTimeout, f"{what}; {heartbeats}")

    def _receive_eof(self) -> None:
        """Check the answer after the body has ended without an error.

        Raises:
            IncompleteStream, MalformedStream: the answer is not complete.
        """
        self._answer.receive_eof()
        self._answer.check()
        if not self._answer.is_complete:
            what = "the stream ended without a finish reason or an end marker"
            raise self._answer.error(IncompleteStream, what)

    def _translated(self, error: Exception, phase: Phase) -> UndamError:
        """Convert an error of the HTTP library to an undam error."""
        lib, reason = self._lib, str(error) or type(error).__name__
        if isinstance(error, lib.UnsupportedProtocol | lib.InvalidURL):
            return UsageError(f"{self._where}: {reason}")
        if isinstance(error, lib.ConnectError | lib.ConnectTimeout | lib.PoolTimeout):
            if self._is_past_ttft():
                return self._ttft_timeout()
            return NetworkError(f"cannot connect to {self._where}: {reason}", phase="connect")
        if isinstance(error, lib.ReadTimeout):
            if self._is_past_ttft():
                return self._ttft_timeout()
            what = f"no byte arrived for {self._request.idle_s:g} s (idle_timeout)"
            return self._answer.error(IdleTimeout, what)
        if isinstance(error, lib.WriteError | lib.WriteTimeout):
            phase = "send"
        if phase == "body":
            what = f"the stream was interrupted before the answer was complete: {reason}"
            return self._answer.error(IncompleteStream, what)
        return NetworkError(f"{self._where} did not answer: {reason}", phase=phase)

    def _is_past_ttft(self) -> bool:
        try:
            self._ttft_left_s()
        except TtftTimeout:
            return True
        return False

    def _pause_or_raise(self, error: UndamError) -> float:
        """Return the seconds to wait before the stream is resumed after ``error``.

        Raises:
            UndamError: the stream cannot be resumed. The exception contains the answer so far.
        """
        if not self._can_resume(error):
            final = self._final(error)
            raise final from (None if final is error else error)
        retry_ms = self._answer.retry_ms
        pause = _RETRY_S if retry_ms is None else retry_ms / 1000
        self._attempts += 1
        return min(_MAX_RETRY_S, pause * (1 << (self._attempts - 1)))

    def _can_resume(self, error: UndamError) -> bool:
        broke = isinstance(error, IncompleteStream | IdleTimeout | NetworkError)
        # A restarting server may return such a status; other error statuses are final.
        transient = isinstance(error, ResponseError) and (self.status or 0) in _TRANSIENT_STATUS
        if not (self._request.resume and self._answer.last_event_id and (broke or transient)):
            return False
        return not self._answer.has_failed and self._attempts < _MAX_ATTEMPTS

    def _final(self, error: UndamError) -> UndamError:
        if isinstance(error, AnswerError | UsageError) or not self._answer.last_event_id:
            return error
        what = f"the stream was interrupted and could not be resumed: {error}"
        return self._answer.error(IncompleteStream, what)

    @property
    def _where(self) -> str:
        return redact_url(self._request.url)


def _least(*limits: float | None) -> float | None:
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None
