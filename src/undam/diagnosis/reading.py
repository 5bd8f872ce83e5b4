"""An exchange read as events: what became readable when. No judgement yet."""

from __future__ import annotations

from dataclasses import dataclass

from undam.apis import Api, Kind, Meaning, api_named
from undam.apis.meaning import count, mapping, sequence
from undam.errors import RemoteProtocolError
from undam.record import Ending, Exchange, Head
from undam.sse import Comment, Event, LineParser, Parser
from undam.timing import Due, due_of

# A chunk of a chat answer is 0.2 KB and a tool call's or an image's may be some MB; beyond that it
# is no token stream, and a judge that holds more than this per event could be made to eat memory.
MAX_EVENT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event or a comment at the moment it became readable.

    Args:
        read: index of the arrival that completed it.
        meaning: what the event says; ``None`` for a comment.
        due: when a beacon meant to send it.
    """

    at_ns: int
    read: int
    meaning: Meaning | None
    text: str
    due: Due | None = None

    @property
    def is_content(self) -> bool:
        """Whether it carries a token."""
        return self.meaning is not None and self.meaning.kind is Kind.CONTENT


@dataclass(frozen=True, slots=True)
class Reading:
    """What an exchange's body said, and when.

    Args:
        form: "sse", "ndjson", or "none" when the body is neither.
        seen: every event and comment, in order.
        pending: for each arrival, how many bytes of an unfinished event were left behind it.
        problem: why reading stopped before the body's end.
    """

    exchange: Exchange
    form: str
    seen: tuple[TimedEvent, ...]
    pending: tuple[int, ...]
    problem: str | None

    @property
    def api(self) -> Api:
        """The API whose form the events have."""
        return api_named(self.exchange.api)

    @property
    def contents(self) -> tuple[TimedEvent, ...]:
        """The events that carry tokens."""
        return tuple(item for item in self.seen if item.is_content)

    @property
    def choices(self) -> int:
        """How many answers run side by side in the stream (the API's ``n``), at least 1."""
        indices = {
            count(mapping(choice).get("index"))
            for item in self.contents
            if item.meaning is not None
            for choice in sequence(mapping(item.meaning.payload).get("choices"))
        }
        return max(1, len(indices))

    @property
    def sent_ns(self) -> int:
        """When the request had left; what TTFT counts from."""
        stamps = self.exchange.stamps
        return stamps.start_ns if stamps.sent_ns is None else stamps.sent_ns

    @property
    def announced_end(self) -> bool:
        """Whether the stream itself said that the answer is complete."""
        return any(item.meaning is not None and item.meaning.ends for item in self.seen)

    @property
    def leftover_bytes(self) -> int:
        """Bytes of an event that was never finished."""
        return self.pending[-1] if self.pending else 0


def form_of(head: Head | None, first_bytes: bytes) -> str:
    """Which stream form a response has, by its Content-Type, else by how the body begins."""
    kind = (head.get("content-type") or "" if head else "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return "sse"
    if kind in {"application/x-ndjson", "application/ndjson", "application/jsonl"}:
        return "ndjson"
    start = first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if start.startswith((b"data:", b"event:", b"id:", b": ", b":\n", b"retry:")):
        return "sse"
    return "none"


def read_exchange(exchange: Exchange) -> Reading:
    """Parse an exchange's body; a hostile one ends it with a ``problem``, never raises."""
    form = form_of(exchange.head, b"".join(a.data for a in exchange.arrivals[:8])[:64])
    if form == "none":
        return Reading(exchange, form, (), (0,) * len(exchange.arrivals), None)
    parser: Parser | LineParser
    if form == "sse":
        parser = Parser(max_event_bytes=MAX_EVENT_BYTES)
    else:
        parser = LineParser(max_line_bytes=MAX_EVENT_BYTES)
    api = api_named(exchange.api)
    seen: list[TimedEvent] = []
    pending: list[int] = []
    problem: str | None = None
    try:
        for index, arrival in enumerate(exchange.arrivals):
            items = parser.receive_data(arrival.data)
            seen += [_seen(item, arrival.at_ns, index, api) for item in items]
            pending.append(parser.pending_bytes)
        if isinstance(parser, Parser):
            parser.receive_eof()
        elif pending and exchange.ending in {Ending.COMPLETE, Ending.CLOSED}:
            last = parser.receive_eof()  # a last line needs no newline
            seen += [_seen(item, exchange.ended_ns, len(pending) - 1, api) for item in last]
            pending[-1] = 0
    except RemoteProtocolError as error:
        problem = str(error)
    return Reading(exchange, form, tuple(seen), tuple(pending), problem)


def _seen(item: Event | Comment, at_ns: int, read: int, api: Api) -> TimedEvent:
    if isinstance(item, Comment):
        return TimedEvent(at_ns, read, None, item.text)
    meaning = api.read(item.event, item.data)
    return TimedEvent(at_ns, read, meaning, meaning.text, due_of(meaning.payload))
