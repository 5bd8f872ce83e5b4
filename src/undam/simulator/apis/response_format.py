"""Code that all response formats share: the beacon stamp and the order of events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from undam.simulator.api_request import ApiRequest
from undam.simulator.schedule import ScheduledEvent
from undam.simulator.text import AnswerText


class DueEvent(NamedTuple):
    """Bytes that are due at ``due_ns``; ``content`` is true for events with tokens.

    An entry without data is not an event; it sets the earliest end of the stream. ``partial`` marks
    the first part of an event, whose rest is the next entry.
    """

    due_ns: int
    data: bytes
    content: bool
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """Values that are the same for all events in a response.

    Args:
        number: sequence number since the simulator started; part of the response ID.
        tokens: length of the response.
        cut: the token limit of the request shortened the response.
    """

    request: ApiRequest
    text: AnswerText
    number: int
    created_s: int
    tokens: int
    cut: bool


class ResponseFormat(Protocol):
    """Response format for one API.

    A fragment is an event without its end: the stamp and ``terminator`` are appended to it. A JSON
    fragment therefore lacks its last brace.
    """

    content_type: str
    stamped: bool
    terminator: bytes
    last: bytes
    """Last bytes of the stream, without a stamp; may be empty."""

    @property
    def wrap(self) -> Callable[[bytes], bytes] | None:
        """Function that completes each event, for a framing with checksums or separators."""
        ...

    def opening(self) -> Sequence[bytes]:
        """Return the fragments that are sent together with the first content."""
        ...

    def content(self, text: bytes, seq: int) -> bytes:
        """Return the fragment for event ``seq`` of the stream, with a piece of the text."""
        ...

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return the fragments that end the response; the first is event ``seq`` of the stream."""
        ...

    def whole(self) -> Mapping[str, object]:
        """Return the body of a non-streaming response."""
        ...


def fragment(payload: Mapping[str, object], *, event: str = "") -> bytes:
    """Return ``payload`` as an SSE event that lacks its closing brace."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {compact(payload)[:-1]}".encode()


def split_template(
    payload: Mapping[str, object], placeholder: str, *, event: str = ""
) -> tuple[bytes, bytes]:
    """Return the fragment for ``payload`` in two parts: before and after ``placeholder``.

    It is called once per stream, so that each event needs only a concatenation, not JSON encoding.
    """
    # The placeholder is the last value, so `rpartition` finds it even if the model has the same
    # name.
    before, _, after = fragment(payload, event=event).rpartition(placeholder.encode())
    return before, after


def compact(payload: Mapping[str, object]) -> str:
    """Return compact JSON, as model servers send it."""
    return json.dumps(payload, separators=(",", ":"))


def due_events(
    response_format: ResponseFormat,
    text: AnswerText,
    scheduled_events: Iterable[ScheduledEvent],
    *,
    start_ns: int,
    event_bytes: int | None,
) -> Iterator[DueEvent]:
    """Yield the events of a response in order; each is created only when it is requested.

    Args:
        start_ns: origin of the schedule (CLOCK_REALTIME).
        event_bytes: size to which content events are padded; larger ones are not changed.
    """
    seq = sent = 0
    wrap = response_format.wrap
    for offset_ns, tokens in scheduled_events:
        due_ns = start_ns + offset_ns
        if not sent:
            for opening in response_format.opening():
                data = _finish(response_format, opening, seq, due_ns)
                yield DueEvent(due_ns, data if wrap is None else wrap(data), False)
                seq += 1
        if tokens:
            content = response_format.content(text.piece(sent, tokens, due_ns), seq)
            data = _finish(response_format, content, seq, due_ns)
            if event_bytes is not None and event_bytes > len(data):
                data = _pad(response_format, data, event_bytes - len(data))
            if wrap is not None:
                data = wrap(data)
            elif text.divided and (cut := cut_at(data, seq)):
                yield DueEvent(due_ns - PART_EARLY_NS, data[:cut], False, True)
                data = data[cut:]
            yield DueEvent(due_ns, data, True)
            seq, sent = seq + 1, sent + tokens
            continue
        for closing in response_format.closing(seq):
            data = _finish(response_format, closing, seq, due_ns)
            yield DueEvent(due_ns, data if wrap is None else wrap(data), False)
            seq += 1
        # ``last`` may be empty, but its due time still delays the end of the stream.
        yield DueEvent(due_ns, response_format.last, False)


PART_EARLY_NS = 2_000_000
"""Time between the two writes of a divided event. The event is complete at its due time."""

# Only some events are divided; the others show whether whole characters arrive intact.
_DIVIDED_EACH = 3


def cut_at(data: bytes, seq: int) -> int:
    """Return the byte at which to split event ``seq``, inside a character; 0 for no split."""
    if seq % _DIVIDED_EACH:
        return 0
    inside = [index for index, byte in enumerate(data) if byte & 0xC0 == 0x80]
    return inside[(seq // _DIVIDED_EACH) % len(inside)] if inside else 0


def _finish(response_format: ResponseFormat, unfinished: bytes, seq: int, due_ns: int) -> bytes:
    if not response_format.stamped:
        return unfinished + response_format.terminator
    return b'%b,"undam":{"seq":%d,"due_ns":%d}}%b' % (
        unfinished,
        seq,
        due_ns,
        response_format.terminator,
    )


_PAD = b',"pad":"%b"}}'


def _pad(response_format: ResponseFormat, data: bytes, padding: int) -> bytes:
    """Insert ``padding`` bytes into ``data``, within the stamp if there is one."""
    body = data[: -len(response_format.terminator)]
    if not response_format.stamped:
        return body + b"x" * padding + response_format.terminator
    padding -= len(_PAD) - len(b"%b}}")
    if padding < 0:
        return data
    return body[:-2] + _PAD % (b"x" * padding) + response_format.terminator
