"""Parsing of an exchange into events, each with the time at which it became readable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from undam.apis import Api, Kind, Meaning, ShapeReader, api_named
from undam.apis.meaning import count, mapping, sequence, text_in
from undam.errors import RemoteProtocolError
from undam.framing import Framing
from undam.framing.decoder import new_decoder
from undam.framing.detect import DECIDE_BYTES, detect, is_page
from undam.framing.json_text import ArrayDecoder
from undam.framing.multipart import MultipartDecoder
from undam.framing.text import BINARY
from undam.record import Ending, Exchange
from undam.sse import Comment, Event
from undam.timing import Due, due_of
from undam.timing.numbered_text import pieces_in
from undam.work_budget import WorkBudget, WorkLimitError, pieces

# A chunk of a chat answer takes about 0.2 KB, a tool call or an image up to some MB. Token streams
# contain no larger events. Without a limit, a server could exhaust our memory.
MAX_EVENT_BYTES = 4 << 20

# Parsed JSON takes ten to twenty times as much memory as its text. Therefore, only the first
# payloads are kept, and of the later ones only those that report token counts.
_KEPT_PAYLOAD_BYTES = 4 << 20
_KEPT_USAGE_BYTES = 1 << 20


# The types of an answer's events repeat: one of them occurs at least this often, and none of them
# as rarely as the types of events that announce or sum up the answer.
_ANSWER_EVENTS = 8
_RARE = 4

# A shorter HTML body, such as an error message, is not a stream.
_SHORT_PAGE_BYTES = 256

# About 150 tokens. Generating them takes longer than the time limit below, so a server that streams
# sends them in more than one event. A cached answer arrives sooner.
_COLLECTED_CHARS = 600
_COLLECTED_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """Event or comment, with the time at which it became readable.

    Args:
        read: index of the arrival that completed it.
        meaning: the parsed event; ``None`` for a comment. In a very long stream, only the first
            events keep their payload.
        due: the time at which it was due by the schedule of a beacon.
        id: last event ID of the stream, with this event.
    """

    at_ns: int
    read: int
    meaning: Meaning | None
    text: str
    due: Due | None = None
    id: str = ""

    @property
    def is_content(self) -> bool:
        """Return whether the event carries a token."""
        return self.meaning is not None and self.meaning.kind is Kind.CONTENT

    @property
    def shown(self) -> str:
        """Return the text that a client shows to its user, without the surrounding JSON."""
        payload = mapping(self.meaning.payload) if self.meaning is not None else {}
        return text_in(payload) if payload and self.text.startswith("{") else self.text


@dataclass(frozen=True, slots=True)
class Reading:
    """Parsed body of an exchange.

    Args:
        framing: how the bytes divide into events.
        api: the API that the events belong to.
        items: every event and comment, in order.
        pending: for each arrival, the bytes of an unfinished event that remained after it.
        problem: why parsing stopped before the end of the body.
        is_closed: whether the framing marked the end (closing bracket or delimiter).
    """

    exchange: Exchange
    framing: Framing
    api: Api
    items: tuple[TimedEvent, ...]
    pending: tuple[int, ...]
    problem: str | None
    is_closed: bool = False

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
        """Return the time at which the whole request had been sent, from which TTFT is measured."""
        stamps = self.exchange.stamps
        return stamps.start_ns if stamps.sent_ns is None else stamps.sent_ns

    @property
    def announced_end(self) -> bool:
        """Return whether the stream contains the end marker of its API or of its framing."""
        return self.is_closed or any(
            item.meaning is not None and item.meaning.ends for item in self.items
        )

    @property
    def has_error(self) -> bool:
        """Return whether the server sent an error inside the response."""
        kinds = (item.meaning.kind for item in self.items if item.meaning is not None)
        return Kind.ERROR in kinds

    @property
    def is_framed(self) -> bool:
        """Return whether the framing of the body divides the body into events."""
        return self.framing not in {Framing.TEXT, Framing.BYTES}

    @property
    def has_closing_framing(self) -> bool:
        """Return whether the framing of the body marks its end."""
        return self.framing in {Framing.JSON_ARRAY, Framing.MULTIPART}

    @property
    def is_document(self) -> bool:
        """Return whether the body is one JSON document, a web page, or data of a declared length.

        The server sent such a body whole and did not stream it.
        """
        if not self.items:
            return False
        if self.framing in {Framing.NDJSON, Framing.JSON_ARRAY}:
            return len(self.items) == 1 and self.framing is Framing.NDJSON
        head = self.exchange.head
        if self.is_framed or head is None:
            return False
        page = "html" in (head.get("content-type") or "") and is_whole_page(self.exchange)
        return page or head.get("content-length") is not None

    @property
    def is_collected(self) -> bool:
        """Return whether a single event, or one per parallel answer, carries the whole answer.

        A server or a gateway that does not stream sends such an event. Encoded images, the
        arguments of a tool call and JSON-RPC messages are always sent whole.
        """
        contents = self.contents
        return (
            len(contents) == self.choices
            and self.api.announces_end
            and self.api.name != "a2a"
            and all(
                len(item.shown) >= _COLLECTED_CHARS
                and not (item.shown.isascii() and len(item.shown.split()) == 1)
                and not (item.meaning is not None and item.meaning.tool)
                and item.at_ns - self.sent_ns >= _COLLECTED_NS
                for item in contents
            )
        )

    @property
    def leftover_bytes(self) -> int:
        """Return the bytes of a trailing, incomplete event."""
        return self.pending[-1] if self.pending else 0


def read_exchange(exchange: Exchange, budget: WorkBudget | None = None) -> Reading:
    """Parse the body of an exchange. A malformed body sets ``problem`` and raises no error.

    If the budget is used up, the exchange of the result ends there, with the ending ``LIMIT``.
    """
    budget = budget or WorkBudget()
    content_type = (exchange.head.get("content-type") or "") if exchange.head else ""
    beginning = _beginning(exchange)
    framing = detect(content_type, beginning, complete=True) or Framing.BYTES
    decoder = new_decoder(framing, content_type, MAX_EVENT_BYTES, beginning=beginning)
    reader = _EventReader(exchange.api)
    items: list[TimedEvent] = []
    pending: list[int] = []
    problem: str | None = None
    try:
        for index, arrival in enumerate(exchange.arrivals):
            # For binary data, each read is one event, whatever its size.
            data = [arrival.data] if framing is Framing.BYTES else pieces(arrival.data)
            for piece in data:
                read = decoder.receive_data(piece)
                budget.spend(len(read))
                items += [reader.timed(item, arrival.at_ns, index) for item in read]
            pending.append(decoder.pending_bytes)
        if exchange.ending in {Ending.COMPLETE, Ending.CLOSED} and pending:
            last = decoder.receive_eof()
            items += [reader.timed(item, exchange.ended_ns, len(pending) - 1) for item in last]
            pending[-1] = decoder.pending_bytes
    except RemoteProtocolError as error:
        problem = str(error)
        pending += [0] * (len(exchange.arrivals) - len(pending))
    except WorkLimitError as error:
        pending.append(decoder.pending_bytes)
        exchange = _ended_at_limit(exchange, len(pending), str(error))
    items = _without_frame(_with_stamps_in_text(items))
    closed = isinstance(decoder, ArrayDecoder | MultipartDecoder) and decoder.closed
    return Reading(exchange, framing, reader.api, tuple(items), tuple(pending), problem, closed)


def is_whole_page(exchange: Exchange) -> bool:
    """Return whether an HTML body is a whole page or a short message, rather than a stream."""
    beginning = _beginning(exchange)
    short = len(exchange.arrivals) <= 1 and len(beginning) < _SHORT_PAGE_BYTES
    return short or is_page(beginning)


def _beginning(exchange: Exchange) -> bytes:
    """Return the first bytes of the body, enough to detect its framing."""
    beginning = bytearray()
    for arrival in exchange.arrivals:
        beginning += arrival.data
        if len(beginning) > DECIDE_BYTES:
            break
    return bytes(beginning[: DECIDE_BYTES + 1])


def _ended_at_limit(exchange: Exchange, reads: int, limit: str) -> Exchange:
    """Return the exchange, truncated after the read that reached a limit."""
    arrivals = exchange.arrivals[:reads]
    return replace(
        exchange,
        arrivals=arrivals,
        ending=Ending.LIMIT,
        ended_ns=arrivals[-1].at_ns,
        error=limit,
    )


class _EventReader:
    """Reader for the events of one stream that limits the memory for event payloads."""

    def __init__(self, api: str) -> None:
        self._reader = ShapeReader(api_named(api))
        self._payload_bytes = _KEPT_PAYLOAD_BYTES
        self._usage_bytes = _KEPT_USAGE_BYTES

    @property
    def api(self) -> Api:
        """The API detected so far."""
        return self._reader.api

    def timed(self, item: Event | Comment, at_ns: int, read: int) -> TimedEvent:
        """Return an event or comment, with the time at which it became readable."""
        if isinstance(item, Comment):
            return TimedEvent(at_ns, read, None, item.text)
        if item.event == BINARY:
            return TimedEvent(at_ns, read, _BINARY_MEANING, "")
        meaning = self._reader.read(item.event, item.data)
        due = due_of(meaning.payload)
        if not self._keeps_payload(meaning, len(item.data)):
            meaning = replace(meaning, payload=None)
        return TimedEvent(at_ns, read, meaning, meaning.text, due, item.id)

    def _keeps_payload(self, meaning: Meaning, size: int) -> bool:
        self._payload_bytes -= size
        if self._payload_bytes >= 0:
            return True
        if meaning.tokens is not None:
            self._usage_bytes -= size
        return meaning.tokens is not None and self._usage_bytes >= 0


def added_texts(contents: Sequence[TimedEvent]) -> list[str]:
    """Return the text that each event adds to the answer.

    Some applications send the whole text so far in each event.
    """
    texts = [item.shown for item in contents]
    pairs = list(pairwise(texts))
    grows = all(len(after) > len(before) and after.startswith(before) for before, after in pairs)
    if len(texts) < _ANSWER_EVENTS or not grows:
        return texts
    return [*texts[:1], *(after.removeprefix(before) for before, after in pairs)]


def _with_stamps_in_text(items: list[TimedEvent]) -> list[TimedEvent]:
    """Return the events, with the due times that the text of a numbered answer contains.

    A stamp belongs to the event that completes it. An event with several stamps, which a hop has
    merged from several events, has the earliest due time.
    """
    contents = [index for index, item in enumerate(items) if item.is_content]
    if any(items[index].due is not None for index in contents):
        return items
    texts = added_texts([items[index] for index in contents])
    ends = list(accumulate(len(text) for text in texts))
    stamped = list(items)
    at = 0
    for piece in pieces_in("".join(texts)):
        while ends[at] < piece.end:
            at += 1
        index = contents[at]
        if stamped[index].due is None:
            stamped[index] = replace(stamped[index], due=Due(piece.seq, piece.due_ns))
    return stamped


def _without_frame(items: list[TimedEvent]) -> list[TimedEvent]:
    """Return the events; those of rare types before and after the answer are not content.

    An application announces its answer with events such as ``{"type": "sources"}``, and may repeat
    the whole text at the end. The types of the answer itself repeat.
    """
    names = [item.meaning.name if item.meaning and item.is_content else None for item in items]
    counts = Counter(name for name in names if name is not None)
    if max(counts.values(), default=0) < _ANSWER_EVENTS:
        return items
    answer = [i for i, name in enumerate(names) if name is not None and counts[name] > _RARE]
    return [
        _as_empty(item) if item.is_content and not answer[0] <= index <= answer[-1] else item
        for index, item in enumerate(items)
    ]


def _as_empty(item: TimedEvent) -> TimedEvent:
    assert item.meaning is not None
    return replace(item, meaning=replace(item.meaning, kind=Kind.EMPTY))


_BINARY_MEANING = Meaning(Kind.CONTENT)
