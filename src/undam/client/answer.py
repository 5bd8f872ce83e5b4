"""An answer as it comes: reads in, deltas out, and whether it came whole. No I/O and no clock."""

from __future__ import annotations

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


class Answer:
    """What arrived so far, and what the next read adds to it.

    Args:
        choices: how many answers to the same question were asked for (``n``).

    Attributes:
        usage: the latest counts; ``finish_reason``: of the first choice that told one.
        is_over: the stream said its last word, so reading on brings nothing.
        heartbeats: comments and events that carried nothing.
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
        self._calls: dict[tuple[int, int], ToolCall] = {}
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._id = ""
        self._ids: set[str] = set()
        self._resumed = False
        self._failure: AnswerError | None = None

    @property
    def text(self) -> str:
        """What the model has said; several choices stand mixed as they came."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """What the model has shown of its thinking."""
        return "".join(self._reasoning)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls, each with all of its pieces joined."""
        return tuple(self._calls.values())

    @property
    def is_complete(self) -> bool:
        """Whether the stream has proved that the answer is whole."""
        # A message's stop_reason and a response's last item come before the API's own last word.
        if self._api in {MESSAGES, RESPONSES}:
            return self.is_over
        wanted = max(self._choices, len(self._begun))
        return self.is_over or len(self._finished) >= wanted

    @property
    def has_failed(self) -> bool:
        """Whether something came that no new connection can mend."""
        return self._failure is not None

    def receive_data(self, data: bytes) -> list[Delta]:
        """The deltas in ``data``. An error in it is raised by ``check``, after they were given."""
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
                found += self._take(item)
        self.last_event_id = self._parser.last_event_id or self.last_event_id
        return found

    def receive_eof(self) -> None:
        """Note the end of the body; what is wrong with its last event is for ``check``."""
        try:
            self._parser.receive_eof()
        except RemoteProtocolError as error:
            self._fail(MalformedStream, str(error))

    def check(self) -> None:
        """Raise what the last read brought beside its deltas.

        Raises:
            StreamError, MalformedStream, IncompleteStream: with what had arrived before.
        """
        if self._failure is not None:
            raise self._failure

    def begin_again(self) -> None:
        """Note that a new connection goes on after ``last_event_id``."""
        self._parser = Parser(max_event_bytes=self._max_event_bytes)
        self._id = ""
        self._resumed = True

    def broken(self, kind: type[AnswerError], how: str) -> AnswerError:
        """The error that says how the answer broke off, with all that arrived in it."""
        count = len(self.text)
        characters = "character" if count == 1 else "characters"
        came = f"{count} {characters} of text had arrived" if count else "no text had arrived"
        return kind(f"{how}; {came}", text=self.text, reasoning=self.reasoning)

    def _take(self, event: Event) -> list[Delta]:
        if event.id and not self._is_new(event.id):
            return []
        meaning = self._api.read(event.event, event.data)
        if meaning.kind is Kind.ERROR:
            self._fail(StreamError, f"the server told an error in the stream: {meaning.text}")
        elif meaning.kind is Kind.MALFORMED:
            shown = meaning.text[:_SHOWN_CHARACTERS]
            self._fail(MalformedStream, f"an event's data is no JSON: {shown!r}")
        if self._failure is not None:
            return []
        deltas = deltas_of(self._api, event.event, meaning.payload)
        for delta in deltas:
            self._keep(delta)
        self.is_over = self._says_end(meaning)
        return deltas

    def _says_end(self, meaning: Meaning) -> bool:
        # After an OpenAI chunk with a finish_reason the usage may come, and other choices.
        last = self._api in {MESSAGES, RESPONSES} and meaning.ends
        return last or meaning.kind is Kind.DONE

    def _is_new(self, ident: str) -> bool:
        """Whether a resumed stream goes on; the events of one that begins anew are refused."""
        if ident == self._id:
            return True  # an event without one of its own stands under the last
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

    def _keep(self, delta: Delta) -> None:
        match delta:
            case Text():
                self._text.append(delta.text)
            case Reasoning():
                self._reasoning.append(delta.text)
            case ToolCall():
                self._join(delta)
            case Usage():
                told_in, told_out = delta.input_tokens, delta.output_tokens
                self.usage = Usage(
                    self.usage.input_tokens if told_in is None else told_in,
                    self.usage.output_tokens if told_out is None else told_out,
                )
            case Finish():
                self._finished.add(delta.choice)
                self.finish_reason = self.finish_reason or delta.reason
        if isinstance(delta, Text | Reasoning | ToolCall):
            self._begun.add(delta.choice)

    def _join(self, piece: ToolCall) -> None:
        key = (piece.choice, piece.index)
        known = self._calls.get(key)
        if known is not None:
            piece = replace(
                known,
                id=known.id or piece.id,
                name=known.name or piece.name,
                arguments=known.arguments + piece.arguments,
            )
        self._calls[key] = piece

    def _fail(self, kind: type[AnswerError], how: str) -> None:
        if self._failure is None:
            self._failure = self.broken(kind, how)
