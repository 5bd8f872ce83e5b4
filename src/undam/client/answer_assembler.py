"""Assembly of an answer from stream reads, and the check that the answer is complete.

This module does no I/O and reads no clock.
"""

from __future__ import annotations

import json
from dataclasses import replace

from undam.apis import MESSAGES, RESPONSES, Api, Kind, Meaning
from undam.client.deltas import Delta, Finish, Reasoning, Text, ToolCall, Usage, deltas_of
from undam.client.heartbeats import is_heartbeat
from undam.client.reading import MAX_EVENT_BYTES
from undam.errors import (
    AnswerError,
    IncompleteStream,
    MalformedStream,
    RemoteProtocolError,
    StreamError,
)
from undam.sse import Comment, Event, Parser

_SHOWN_CHARACTERS = 80
_MAX_ERROR_CHARACTERS = 600
_ERROR_EVENTS = frozenset({"error", "exception"})
_ERROR_MEMBERS = ("message", "detail", "error_message", "msg", "reason", "error")


class AnswerAssembler:
    """State of one answer: the data that has arrived, and whether the stream has ended.

    Args:
        choices: number of choices that were requested (``n``).

    Attributes:
        usage: latest token counts.
        finish_reason: finish reason of the first choice that had one.
        is_over: the last event of the stream has arrived.
        heartbeats: number of comments and of events without content.
        last_event_id: ID for ``Last-Event-ID`` on a reconnect.
        retry_ms: latest reconnection time that the server has sent.
    """

    def __init__(
        self, api: Api, *, choices: int = 1, max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self.usage = Usage()
        self.finish_reason: str | None = None
        self.is_over = False
        self.heartbeats = 0
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._api = api
        self._max_event_bytes = max_event_bytes
        self._parser = Parser(max_event_bytes=max_event_bytes)
        self._choices = choices
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[tuple[int, int, int], ToolCall] = {}
        self._repeats: dict[tuple[int, int], int] = {}
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._id = ""
        self._ids: set[str] = set()
        self._resumed = False
        self._failure: AnswerError | None = None

    @property
    def text(self) -> str:
        """Text received so far. The texts of several choices are mixed in order of arrival."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """Reasoning text received so far."""
        return "".join(self._reasoning)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Tool calls received so far, with the pieces of each call joined."""
        return tuple(self._calls.values())

    @property
    def is_complete(self) -> bool:
        """True once the stream has confirmed that the answer is complete."""
        # In these APIs, the finish reason precedes the final event, which completes the answer.
        if self._api in {MESSAGES, RESPONSES}:
            return self.is_over
        wanted = max(self._choices, len(self._begun))
        return self.is_over or len(self._finished) >= wanted

    @property
    def has_failed(self) -> bool:
        """True after an error that a reconnect cannot fix."""
        return self._failure is not None

    def receive_data(self, data: bytes) -> list[Delta]:
        """Return the deltas in ``data``. The next `check` raises any error in ``data``."""
        found: list[Delta] = []
        try:
            items = self._parser.receive_data(data)
        except RemoteProtocolError as error:
            self._fail(MalformedStream, str(error))
            return found
        self.retry_ms = self._parser.retry_ms or self.retry_ms
        for item in items:
            if isinstance(item, Comment) or is_heartbeat(item):
                self.heartbeats += 1
            elif not self.is_over and self._failure is None:
                found += self._process(item)
        self.last_event_id = self._parser.last_event_id or self.last_event_id
        return found

    def receive_eof(self) -> None:
        """Process the end of the body. The next `check` raises any error that this reveals."""
        try:
            self._parser.receive_eof()
        except RemoteProtocolError as error:
            self._fail(MalformedStream, str(error))

    def check(self) -> None:
        """Raise the error that the last read contained, if any.

        Raises:
            StreamError, MalformedStream, IncompleteStream: the last read contained an error. The
                exception carries the text that had arrived before.
        """
        if self._failure is not None:
            raise self._failure

    def start_resumed_stream(self) -> None:
        """Prepare for a new connection that continues after ``last_event_id``."""
        self._parser = Parser(max_event_bytes=self._max_event_bytes)
        self._id = ""
        self._resumed = True

    def error(self, kind: type[AnswerError], how: str) -> AnswerError:
        """Return an error that contains the text and reasoning received so far."""
        count = len(self.text)
        characters = "character" if count == 1 else "characters"
        received = f"{count} {characters} of text had arrived" if count else "no text had arrived"
        return kind(f"{how}; {received}", text=self.text, reasoning=self.reasoning)

    def _process(self, event: Event) -> list[Delta]:
        if event.id and not self._is_new(event.id):
            return []
        meaning = self._api.read(event.event, event.data)
        if event.event in _ERROR_EVENTS and meaning.kind is not Kind.ERROR:
            # LangGraph and others send error events without the JSON member that the API defines.
            self._fail(StreamError, f"the server sent an error event: {_error_text(event.data)}")
        elif meaning.kind is Kind.ERROR:
            self._fail(StreamError, f"the server sent an error event: {meaning.text}")
        elif meaning.kind is Kind.MALFORMED:
            shown = meaning.text[:_SHOWN_CHARACTERS]
            self._fail(MalformedStream, f"the data of an event is not JSON: {shown!r}")
        if self._failure is not None:
            return []
        deltas = deltas_of(self._api, event.event, meaning.payload)
        for delta in deltas:
            self._add(delta)
        self.is_over = self._is_last(meaning)
        return deltas

    def _is_last(self, meaning: Meaning) -> bool:
        # In OpenAI's chat API, usage and other choices may follow a chunk with a finish_reason.
        last = self._api in {MESSAGES, RESPONSES} and meaning.ends
        return last or meaning.kind is Kind.DONE

    def _is_new(self, ident: str) -> bool:
        """Return whether an event is new. If it is not, the server restarted the stream."""
        if ident == self._id:
            return True  # an event without an ID keeps the previous ID
        self._id = ident
        if self._resumed and ident in self._ids:
            self._fail(
                IncompleteStream,
                f"the connection broke, and the server did not resume: it sent event "
                f"{ident[:_SHOWN_CHARACTERS]!r} again",
            )
            return False
        self._ids.add(ident)
        return True

    def _add(self, delta: Delta) -> None:
        match delta:
            case Text():
                self._text.append(delta.text)
            case Reasoning():
                self._reasoning.append(delta.text)
            case ToolCall():
                self._join(delta)
            case Usage():
                new_input, new_output = delta.input_tokens, delta.output_tokens
                self.usage = Usage(
                    self.usage.input_tokens if new_input is None else new_input,
                    self.usage.output_tokens if new_output is None else new_output,
                )
            case Finish():
                self._finished.add(delta.choice)
                self.finish_reason = self.finish_reason or delta.reason
        if isinstance(delta, Text | Reasoning | ToolCall):
            self._begun.add(delta.choice)

    def _join(self, piece: ToolCall) -> None:
        place = piece.choice, piece.index
        number = self._repeats.get(place, 0)
        known = self._calls.get((*place, number))
        # Some servers number each of several calls with the same index.
        if known is not None and piece.name and piece.id and known.id not in {"", piece.id}:
            number, known = number + 1, None
            self._repeats[place] = number
        if known is not None:
            piece = replace(
                known,
                id=known.id or piece.id,
                name=known.name or piece.name,
                arguments=known.arguments + piece.arguments,
            )
        self._calls[*place, number] = piece

    def _fail(self, kind: type[AnswerError], how: str) -> None:
        if self._failure is None:
            self._failure = self.error(kind, how)


def _error_text(data: str) -> str:
    """Extract the message from the data of an error event in any format."""
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return data[:_MAX_ERROR_CHARACTERS] or "without a message"
    if isinstance(payload, dict):
        for name in _ERROR_MEMBERS:
            if isinstance(value := payload.get(name), str) and value:
                return value[:_MAX_ERROR_CHARACTERS]
    if isinstance(payload, str):
        return payload[:_MAX_ERROR_CHARACTERS]
    return data[:_MAX_ERROR_CHARACTERS]
