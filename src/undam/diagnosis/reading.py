"""An exchange parsed into events, each with the time at which it became readable."""

from __future__ import annotations

from dataclasses import dataclass

from undam.apis import Api, Kind, Meaning, api_named
from undam.apis.meaning import count, mapping, sequence
from undam.errors import RemoteProtocolError
from undam.record import Ending, Exchange, Head
from undam.sse import Comment, Event, LineParser, Parser
from undam.timing import Due, due_of

# A chunk of a chat answer has 0.2 KB; a tool call or an image may have some MB. A larger event is
# not a token stream, and an unlimited one would let a server exhaust our memory.
MAX_EVENT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event or a comment, with the time at which it became readable.

    Args:
        read: index of the arrival that completed it.
        meaning: the parsed event; ``None`` for a comment.
        due: the time at which a beacon meant to send it.
    """

    at_ns: int
    read: int
    meaning: Meaning | None
    text: str
    due: Due | None = None

    @property
    def is_content(self) -> bool:
        """Return whether it carries a token."""
        return self.meaning is not None and self.meaning.kind is Kind.CONTENT


@dataclass(frozen=True, slots=True)
class Reading:
    """Parsed body of an exchange.

    Args:
        form: "sse", "ndjson", or "none" when the body is neither.
        items: every event and comment, in order.
        pending: for each arrival, the bytes of an unfinished event that remained after it.
        problem: why parsing stopped before the end of the body.
    """

    exchange: Exchange
    form: str
    items: tuple[TimedEvent, ...]
    pending: tuple[int, ...]
    problem: str | None

    @property
    def api(self) -> Api:
        """Return the API that the events belong to."""
        return api_named(self.exchange.api)

    @property
    def contents(self) -> tuple[TimedEvent, ...]:
        """Return the events that carry tokens."""
        return tuple(item for item in self.items if item.is_content)

    @property
    def choices(self) -> int:
        """Return the number of parallel answers in the stream (the API's ``n``), at least 1."""
        indices = {
            count(mapping(choice).get("index"))
            for item in self.contents
            if item.meaning is not None
            for choice in sequence(mapping(item.meaning.payload).get("choices"))
        }
        return max(1, len(indices))

    @property
    def sent_ns(self) -> int:
        """Return when the request had been sent; TTFT counts from here."""
        stamps = self.exchange.stamps
        return stamps.start_ns if stamps.sent_ns is None else stamps.sent_ns

    @property
    def announced_end(self) -> bool:
        """Return whether the stream contains the end marker of its API."""
        return any(item.meaning is not None and item.meaning.ends for item in self.items)

    @property
    def leftover_bytes(self) -> int:
        """Return the bytes of an event that was never finished."""
        return self.pending[-1] if self.pending else 0


def form_of(head: Head | None, first_bytes: bytes) -> str:
    """Return the form of a stream, from its Content-Type or else from the beginning of the body."""
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
    """Parse the body of an exchange. A malformed body sets ``problem``; nothing is raised."""
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
            last = parser.receive_eof()  # The last line needs no newline.
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
