"""What all forms of an answer share: the stamp on each event, and the order of events. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from undam.simulator.api_request import ApiRequest
from undam.simulator.schedule import ScheduledEvent
from undam.simulator.text import ModelText


class DueEvent(NamedTuple):
    """Bytes that are due at ``due_ns``; ``content`` tells events with tokens from the rest.

    Without data it is no event, only the time before which the stream does not end.
    """

    due_ns: int
    data: bytes
    content: bool


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """Who answers what: the values that every event of one answer repeats.

    Args:
        number: of this answer since the simulator started; makes its id.
        tokens: of the whole answer.
        cut: the caller's bound made the answer shorter.
    """

    call: ApiRequest
    text: ModelText
    number: int
    created_s: int
    tokens: int
    cut: bool


class ResponseFormat(Protocol):
    """One API's way to say an answer.

    A fragment is an event without its end: the stamp and ``terminator`` are put after it, so a
    fragment of JSON leaves its last brace open.
    """

    content_type: str
    stamped: bool
    terminator: bytes
    last: bytes
    """Sent after all else, unstamped; empty for none."""

    def opening(self) -> Sequence[bytes]:
        """Fragments that leave together with the first content."""
        ...

    def content(self, text: bytes, seq: int) -> bytes:
        """The fragment of one piece of text, which is event ``seq`` of the stream."""
        ...

    def closing(self, seq: int) -> Sequence[bytes]:
        """Fragments that end the answer; the first is event ``seq`` of the stream."""
        ...

    def whole(self) -> Mapping[str, object]:
        """The answer to a request that wants no stream."""
        ...


def fragment(payload: Mapping[str, object], *, event: str = "") -> bytes:
    """An SSE event of ``payload`` up to its last brace."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {compact(payload)[:-1]}".encode()


def split_template(
    payload: Mapping[str, object], mark: str, *, event: str = ""
) -> tuple[bytes, bytes]:
    """The two sides of the value ``mark`` in the fragment of ``payload``.

    Built once a stream, so that an event costs one concatenation and no JSON.
    """
    # The mark is the innermost value and stands last: a model's name that looks like it comes
    # earlier.
    before, _, after = fragment(payload, event=event).rpartition(mark.encode())
    return before, after


def compact(payload: Mapping[str, object]) -> str:
    """JSON without spaces, as model servers write it."""
    return json.dumps(payload, separators=(",", ":"))


def due_events(
    form: ResponseFormat,
    text: ModelText,
    scheduled_events: Iterable[ScheduledEvent],
    *,
    start_ns: int,
    event_bytes: int | None,
) -> Iterator[DueEvent]:
    """Every event of one answer in order, each built when it is asked for.

    Args:
        start_ns: the time from which the scheduled_events count, CLOCK_REALTIME.
        event_bytes: content events are padded to this size; one that is larger stays as it is.
    """
    seq = said = 0
    for offset_ns, tokens in scheduled_events:
        due_ns = start_ns + offset_ns
        if not said:
            for opening in form.opening():
                yield DueEvent(due_ns, _finish(form, opening, seq, due_ns), False)
                seq += 1
        if tokens:
            data = _finish(form, form.content(text.piece(said, tokens), seq), seq, due_ns)
            if event_bytes is not None and event_bytes > len(data):
                data = _pad(form, data, event_bytes - len(data))
            yield DueEvent(due_ns, data, True)
            seq, said = seq + 1, said + tokens
            continue
        for closing in form.closing(seq):
            yield DueEvent(due_ns, _finish(form, closing, seq, due_ns), False)
            seq += 1
        # The last one may be empty: where the form has no words for the end, it still is due.
        yield DueEvent(due_ns, form.last, False)


def _finish(form: ResponseFormat, unfinished: bytes, seq: int, due_ns: int) -> bytes:
    if not form.stamped:
        return unfinished + form.terminator
    return b'%b,"undam":{"seq":%d,"due_ns":%d}}%b' % (unfinished, seq, due_ns, form.terminator)


_PAD = b',"pad":"%b"}}'


def _pad(form: ResponseFormat, data: bytes, room: int) -> bytes:
    """``data`` made ``room`` bytes longer, inside the stamp where there is one."""
    body = data[: -len(form.terminator)]
    if not form.stamped:
        return body + b"x" * room + form.terminator
    room -= len(_PAD) - len(b"%b}}")
    if room < 0:
        return data
    return body[:-2] + _PAD % (b"x" * room) + form.terminator
