"""Counter of the events in one response body, fed read by read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from undam.apis import Kind, Meaning
from undam.errors import RemoteProtocolError
from undam.framing import Framing
from undam.framing.decoder import Decoder
from undam.framing.text import BINARY
from undam.loadtest.analysis.content import ContentCheck
from undam.loadtest.analysis.template import EventTemplate, TemplateSet
from undam.loadtest.analysis.usage import NO_USAGE, is_reasoning, usage_of
from undam.loadtest.protocol import MAX_EVENTS
from undam.sse import Comment, Event, LineParser, Parser
from undam.work_budget import MAX_ITEMS

# A chat chunk has about 0.2 KB, but one with a tool call or an image can have several MB.
MAX_EVENT_BYTES = 4 << 20
# Maximum number of bytes counted in one step. Larger data, such as decompressed data, is split,
# so that limits are checked between the parts.
_PIECE_BYTES = 1 << 16

Read = Callable[[str, str], Meaning]


class EventCounter:
    """Counter of the events in a response body, by kind.

    Args:
        decoder: decoder of a framing other than SSE and JSON lines.

    Attributes:
        ends: whether an event marked the response as complete.
        contents: number of events with content.
        has_answer: whether an event had content that is not reasoning.
        tokens: completion tokens, as last reported by the server.
        usage: prompt, cached and reasoning tokens, as last reported by the server.
        empties: number of events without content.
        heartbeats: number of heartbeats and comments.
        error: text of the first error event; ``None`` if there is none.
        leftover_bytes: size of a truncated last event, after ``receive_eof``.
        malformed: data of the first event that is not valid JSON; ``None`` if there is none.
        content: check of the numbers and characters.
    """

    def __init__(
        self, form: Framing, read: Read, templates: TemplateSet, decoder: Decoder | None = None
    ) -> None:
        self.ends = False
        self.contents = 0
        self.has_answer = False
        self.tokens: int | None = None
        self.usage = NO_USAGE
        self.empties = 0
        self.heartbeats = 0
        self.error: str | None = None
        self.leftover_bytes = 0
        self.malformed: str | None = None
        self.content = ContentCheck()
        self._items = 0
        self._parsed = 0
        self._read = read
        self._templates = templates
        self._next: EventTemplate | None = None
        # The parser is created when an event first matches no template.
        self._parser: Parser | LineParser | None = None
        self._form = form
        self._end = b"\n\n" if form is Framing.SSE else b"\n"
        self._decoder = decoder

    @property
    def reported_tokens(self) -> int | None:
        """Completion tokens, as last reported by the server; ``None`` if not reported.

        Some gateways report 0 tokens if they do not know the number, even after content.
        """
        return None if self.contents and not self.tokens else self.tokens

    @property
    def pending_bytes(self) -> int:
        """Number of bytes in the event that is still incomplete."""
        parser = self._decoder or self._parser
        return 0 if parser is None else parser.pending_bytes

    def receive_data(self, data: bytes) -> int:
        """Count the events in ``data``; return the number of content events that it completes.

        Raises:
            RemoteProtocolError: an event is larger than ``MAX_EVENT_BYTES``, or there are more than
                ``MAX_EVENTS`` events and comments, or ``MAX_ITEMS`` that match no template.
        """
        before = self.contents
        for begin in range(0, len(data), _PIECE_BYTES):
            self._receive(data[begin : begin + _PIECE_BYTES])
            # Parsing an event takes ten to thirty times as long as matching it with a template.
            for count, limit in ((self._items, MAX_EVENTS), (self._parsed, MAX_ITEMS)):
                if count > limit:
                    raise RemoteProtocolError(f"there are more than {limit} events and comments")
        return self.contents - before

    def _receive(self, data: bytes) -> None:
        if self._decoder is not None:
            self._note_all(self._decoder.receive_data(data))
            return
        at = 0
        content = self.content
        # Most reads are ASCII text, which needs no inspection.
        if not data.isascii() or b"[u" in data:
            content.inspect(data)
        alone = self._parser is None or not self._parser.pending_bytes
        if alone and not content.is_collecting:
            at = self._match_templates(data, 0)
        if at < len(data):
            if self._parser is None:
                self._parser = self._open(first=data[:1], begun=at > 0 or self._next is not None)
            self._parse(self._parser, data, at)

    def receive_eof(self) -> int:
        """Count the events that the end of the body completes; return the number with content.

        The last line of NDJSON needs no line end.

        Raises:
            RemoteProtocolError: an event is larger than ``MAX_EVENT_BYTES``.
        """
        before = self.contents
        if self._decoder is not None:
            self._note_all(self._decoder.receive_eof())
            self.leftover_bytes = self._decoder.pending_bytes
        elif isinstance(self._parser, LineParser):
            for item in self._parser.receive_eof():
                self._note(self._read(item.event, item.data), item.id)
        elif self._parser is not None:
            self.leftover_bytes = self._parser.receive_eof()
        return self.contents - before

    def _open(self, *, first: bytes, begun: bool) -> Parser | LineParser:
        if self._form is not Framing.SSE:
            return LineParser(max_line_bytes=MAX_EVENT_BYTES)
        parser = Parser(max_event_bytes=MAX_EVENT_BYTES)
        if begun or first != b"\xef":
            # A new parser accepts a byte order mark, which may only be at the start of a stream.
            # After an empty line, the parser no longer accepts one.
            parser.receive_data(b"\n")
        return parser

    def _match_templates(self, data: bytes, at: int) -> int:
        """Count consecutive events from ``at`` that match a template; return where they end."""
        size = len(data)
        last = self._next
        items = 0
        while at < size:
            found = last.then if last is not None else None
            match = found.match(data, at) if found is not None else None
            if match is None:
                other = self._templates.find(data, at)
                if other is None:
                    break
                found, match = other
                if last is not None:
                    last.then = found
            assert found is not None
            at = match.end()
            if found.numbered:
                content = self.content
                (content.stamps if found.stamped else content.numbers).append(int(match[1]))
            last = found
            items += 1
            kind = found.kind
            if kind is Kind.CONTENT:
                self.contents += 1
                self.has_answer = self.has_answer or not found.reasoning
            elif kind is Kind.EMPTY:
                self.empties += 1
            elif kind is Kind.HEARTBEAT:
                self.heartbeats += 1
            if found.ends:
                self.ends = True
            if found.tokens is not None:
                self.tokens = found.tokens
        self._next = last
        self._items += items
        return at

    def _parse(self, parser: Parser | LineParser, data: bytes, at: int) -> None:
        """Parse the rest event by event, so that templates can be learned from single events."""
        size = len(data)
        while at < size:
            alone = not parser.pending_bytes
            end = data.find(self._end, at) + len(self._end)
            if end < len(self._end):
                end = size
                alone = False
            block = data[at:end]
            items = parser.receive_data(block)
            self._items += len(items)
            self._parsed += len(items)
            for item in items:
                if isinstance(item, Comment):
                    self.heartbeats += 1
                    continue
                meaning = self._read(item.event, item.data)
                self._note(meaning, item.id)
                if alone and len(items) == 1:
                    self._templates.learn(block, meaning)
            at = end
            if at < size and not parser.pending_bytes and not self.content.is_collecting:
                at = self._match_templates(data, at)

    def _note_all(self, items: Sequence[Event | Comment]) -> None:
        self._items += len(items)
        self._parsed += len(items)
        for item in items:
            if isinstance(item, Comment):
                self.heartbeats += 1
            elif item.event == BINARY:
                self._note(Meaning(Kind.CONTENT))
            else:
                self._note(self._read(item.event, item.data), item.id)

    def _note(self, meaning: Meaning, ident: str = "") -> None:
        self.content.add(meaning, ident)
        kind = meaning.kind
        if kind is Kind.CONTENT:
            self.contents += 1
            self.has_answer = self.has_answer or not is_reasoning(meaning)
        elif kind is Kind.EMPTY:
            self.empties += 1
        elif kind is Kind.HEARTBEAT:
            self.heartbeats += 1
        elif kind is Kind.ERROR and self.error is None:
            self.error = meaning.text
        elif kind is Kind.MALFORMED and self.malformed is None:
            self.malformed = meaning.text
        if meaning.ends:
            self.ends = True
        if meaning.tokens is not None:
            self.tokens = meaning.tokens
        self.usage = self.usage.updated(usage_of(meaning))
