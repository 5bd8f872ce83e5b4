"""What a synchronous and an asynchronous call have in common: limits, errors, and when to resume.

The HTTP library is httpx or httpx2; its names are taken from the client in use, so neither is
imported before a call is made.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from undam.client.answer import Answer
from undam.client.call import Call
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

REFUSAL_BYTES = 65536
_SHOWN_CHARACTERS = 600

# A reconnect that brings nothing is tried this often in a row; EventSource never stops, but here
# somebody waits for an answer.
_ATTEMPTS = 3
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0

_MOMENTARY = {429, 500, 502, 503, 504}
_NO_STREAM = {"application/json", "text/html"}


def library_for(client: object) -> Any:
    """The module of an HTTP client, or httpx (else httpx2) where there is no client yet.

    Raises:
        UsageError: it is no client of theirs, or neither is installed.
    """
    if client is not None:
        name = library_of(client, LIBRARIES)
        if name is None:
            raise UsageError(f"http_client is a {type(client)!r}, no client of httpx or httpx2")
        return sys.modules[name]
    for name in LIBRARIES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise UsageError("undam.client.chat sends its requests with httpx: pip install 'undam[client]'")


class Conversation:
    """A call under way, without its I/O.

    Attributes:
        timing: what this reader saw when; complete at the end.
        status, headers: of the response, once it is there.
    """

    def __init__(self, call: Call, library: Any, timing: Timing | None) -> None:
        self.timing = timing or Timing()
        self._owns_timing = timing is None
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self._call = call
        self._lib = library
        self._answer = Answer(call.api, choices=call.choices, max_event_bytes=call.max_event_bytes)
        self._started: float | None = None
        self._waits_for_content = True
        self._attempts = 0

    @property
    def text(self) -> str:
        """What the model has said so far."""
        return self._answer.text

    @property
    def reasoning(self) -> str:
        """What the model has shown of its thinking so far."""
        return self._answer.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, each joined from its pieces."""
        return self._answer.tool_calls

    @property
    def usage(self) -> Usage:
        """The token counts, as far as the server told them."""
        return self._answer.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, in the API's word; ``None`` before it was told."""
        return self._answer.finish_reason

    @property
    def is_complete(self) -> bool:
        """Whether the stream has proved that the answer is whole."""
        return self._answer.is_complete

    def _request(self, client: Any) -> Any:
        """The request as it goes out now: with less time, and from where the stream broke."""
        call, left = self._call, self._ttft_left_s()
        connect, read = _least(call.connect_s, left), _least(call.idle_s, left)
        headers = dict(call.headers)
        if self._answer.last_event_id:
            headers["Last-Event-ID"] = self._answer.last_event_id
            self._answer.begin_again()
        return client.build_request(
            "POST",
            call.url,
            headers=headers,
            content=call.body,
            timeout=(connect, read, call.idle_s, connect),
        )

    def _opened(self, response: Any) -> bool:
        """Note that a response head is in; whether a stream follows it."""
        self.timing.head()
        self.status = response.status_code
        self.headers = response.headers
        # The time to the head was bounded by what was left for the first content, too. The body's
        # reads take their limit from here when the first is made.
        response.request.extensions["timeout"]["read"] = self._call.idle_s
        kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
        return 200 <= response.status_code < 300 and kind not in _NO_STREAM

    def _refused(self, body: bytes) -> ResponseError:
        """The error for a response that is no stream; ``body`` is how it begins."""
        assert self.status is not None
        said = " ".join(body.decode("utf-8", "replace").split())[:_SHOWN_CHARACTERS]
        said = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in said)
        try:
            phrase = f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = str(self.status)
        what = "" if not 200 <= self.status < 300 else " and no event stream"
        colon = ": " if said else ""
        shown = redact_text(said, secrets_of(self._call.headers.items()))
        return ResponseError(f"{self._where} answered {phrase}{what}{colon}{shown}")

    def _took(self, data: bytes) -> list[Delta]:
        beats = self._answer.heartbeats
        deltas = self._answer.receive_data(data)
        self.timing.heartbeats += self._answer.heartbeats - beats
        self.timing.read(deltas)
        if deltas:
            self._attempts = 0
        if self._waits_for_content and any(isinstance(one, CONTENT) for one in deltas):
            self._waits_for_content = False
        return deltas

    def _ttft_left_s(self) -> float | None:
        """Seconds that remain for the first content; ``None`` where nothing bounds them.

        Raises:
            TtftTimeout: none remain.
        """
        now = time.monotonic()
        if self._started is None:
            self._started = now
            if self._owns_timing:
                self.timing.start()
        if self._call.ttft_s is None or not self._waits_for_content:
            return None
        left = self._started + self._call.ttft_s - now
        if left <= 0:
            raise self._too_late()
        return left

    def _too_late(self) -> AnswerError:
        beats = self._answer.heartbeats
        how = f"no content came within {self._call.ttft_s:g} s (ttft_timeout)"
        return self._answer.broken(TtftTimeout, f"{how}; {beats} heartbeats did")

    def _ended(self) -> None:
        """Judge an end of the body that was in good order.

        Raises:
            IncompleteStream, MalformedStream: the answer is not whole.
        """
        self._answer.receive_eof()
        self._answer.check()
        if not self._answer.is_complete:
            how = "the stream ended without saying that the answer is complete"
            raise self._answer.broken(IncompleteStream, how)

    def _translated(self, error: Exception, phase: Phase) -> UndamError:
        """What an error of the HTTP library means for this call."""
        lib, said = self._lib, str(error) or type(error).__name__
        if isinstance(error, lib.UnsupportedProtocol | lib.InvalidURL):
            return UsageError(f"{self._where}: {said}")
        if isinstance(error, lib.ConnectError | lib.ConnectTimeout | lib.PoolTimeout):
            if self._is_past_ttft():
                return self._too_late()
            return NetworkError(f"cannot reach {self._where}: {said}", phase="connect")
        if isinstance(error, lib.ReadTimeout):
            if self._is_past_ttft():
                return self._too_late()
            how = f"no byte came for {self._call.idle_s:g} s (idle_timeout)"
            return self._answer.broken(IdleTimeout, how)
        if isinstance(error, lib.WriteError | lib.WriteTimeout):
            phase = "send"
        if phase == "body":
            how = f"the stream broke off before the answer was complete: {said}"
            return self._answer.broken(IncompleteStream, how)
        return NetworkError(f"{self._where} did not answer: {said}", phase=phase)

    def _is_past_ttft(self) -> bool:
        try:
            self._ttft_left_s()
        except TtftTimeout:
            return True
        return False

    def _pause_s(self, error: UndamError) -> float | None:
        """How long to wait before the stream is taken up again; ``None``: it cannot be."""
        broke = isinstance(error, IncompleteStream | IdleTimeout | NetworkError)
        # A server that restarts answers so for a moment; other refusals stay what they are.
        broke = broke or (isinstance(error, ResponseError) and (self.status or 0) in _MOMENTARY)
        if not (self._call.resume and self._answer.last_event_id and broke):
            return None
        if self._answer.has_failed or self._attempts >= _ATTEMPTS:
            return None
        told_ms = self._answer.retry_ms
        pause = _PAUSE_S if told_ms is None else told_ms / 1000
        self._attempts += 1
        return min(_LONGEST_PAUSE_S, pause * (1 << (self._attempts - 1)))

    def _final(self, error: UndamError) -> UndamError:
        """The error to raise when nothing more can be done: it must hold what had arrived."""
        if isinstance(error, AnswerError | UsageError) or not self._answer.last_event_id:
            return error
        how = f"the stream broke off and could not be resumed: {error}"
        return self._answer.broken(IncompleteStream, how)

    @property
    def _where(self) -> str:
        return redact_url(self._call.url)


def _least(*limits: float | None) -> float | None:
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None
