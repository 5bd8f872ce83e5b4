"""The events of one answer, counted as they become readable. Pure."""

from __future__ import annotations

from collections.abc import Callable

from undam.apis import Kind, Meaning
from undam.loadtest.analysis.template import EventTemplate, TemplateSet
from undam.sse import Comment, LineParser, Parser

# A chunk of a chat answer is 0.2 KB and a tool call's or an image's may be some MB.
MAX_EVENT_BYTES = 4 << 20

Read = Callable[[str, str], Meaning]


class Counter:
    """What a body says, read by read.

    Attributes:
        ends: the stream has said that the answer is complete.
        contents: events with content.
        tokens: completion tokens, as last told.
        error: the first error told inside the stream; ``None`` for none.
        leftover_bytes: of an event that was cut off, once the end is noted.
        malformed: the first event whose data should be JSON and is not; ``None`` for none.
    """

    def __init__(self, form: str, read: Read, templates: TemplateSet) -> None:
        self.ends = False
        self.contents = 0
        self.tokens: int | None = None
        self.empties = 0
        self.heartbeats = 0
        self.error: str | None = None
        self.leftover_bytes = 0
        self.malformed: str | None = None
        self._read = read
        self._templates = templates
        self._next: EventTemplate | None = None
        # Made when an event comes that no template fits.
        self._parser: Parser | LineParser | None = None
        self._form = form
        self._end = b"\n\n" if form == "sse" else b"\n"

    @property
    def pending_bytes(self) -> int:
        """Bytes of an event whose end has not come."""
        return 0 if self._parser is None else self._parser.pending_bytes

    def receive_data(self, data: bytes) -> int:
        """How many events with content ``data`` completes.

        Raises:
            RemoteProtocolError: an event is larger than its bound.
        """
        before = self.contents
        at = 0
        if self._parser is None or not self._parser.pending_bytes:
            at = self._take_known(data, 0)
        if at < len(data):
            if self._parser is None:
                self._parser = self._open(first=data[:1], begun=at > 0 or self._next is not None)
            self._take_slowly(self._parser, data, at)
        return self.contents - before

    def receive_eof(self) -> int:
        """Note the orderly end: the last line of NDJSON needs no line end.

        Raises:
            RemoteProtocolError: an event was larger than its bound.
        """
        before = self.contents
        if isinstance(self._parser, LineParser):
            for item in self._parser.receive_eof():
                self._note(self._read(item.event, item.data))
        elif self._parser is not None:
            self.leftover_bytes = self._parser.receive_eof()
        return self.contents - before

    def _open(self, *, first: bytes, begun: bool) -> Parser | LineParser:
        if self._form != "sse":
            return LineParser(max_line_bytes=MAX_EVENT_BYTES)
        parser = Parser(max_event_bytes=MAX_EVENT_BYTES)
        if begun or first != b"\xef":
            # An empty line between events says nothing, and after it no byte order mark may come,
            # as is right for events that go past the parser.
            parser.receive_data(b"\n")
        return parser

    def _take_known(self, data: bytes, at: int) -> int:
        """Take the events from ``at`` on that fit a template; where they end."""
        size = len(data)
        last = self._next
        while at < size:
            found = last.then if last is not None else None
            match = found.match(data, at) if found is not None else None
            if match is not None:
                at = match.end()
            else:
                other = self._templates.find(data, at)
                if other is None:
                    break
                found, at = other
                if last is not None:
                    last.then = found
            assert found is not None
            last = found
            kind = found.kind
            if kind is Kind.CONTENT:
                self.contents += 1
            elif kind is Kind.EMPTY:
                self.empties += 1
            elif kind is Kind.HEARTBEAT:
                self.heartbeats += 1
            if found.ends:
                self.ends = True
            if found.tokens is not None:
                self.tokens = found.tokens
        self._next = last
        return at

    def _take_slowly(self, parser: Parser | LineParser, data: bytes, at: int) -> None:
        """Take the rest event by event, so that what comes between two can be learnt."""
        size = len(data)
        while at < size:
            alone = not parser.pending_bytes
            end = data.find(self._end, at) + len(self._end)
            if end < len(self._end):
                end = size
                alone = False
            block = data[at:end]
            items = parser.receive_data(block)
            for item in items:
                if isinstance(item, Comment):
                    self.heartbeats += 1
                    continue
                meaning = self._read(item.event, item.data)
                self._note(meaning)
                if alone and len(items) == 1:
                    self._templates.learn(block, meaning)
            at = end
            if at < size and not parser.pending_bytes:
                at = self._take_known(data, at)

    def _note(self, meaning: Meaning) -> None:
        kind = meaning.kind
        if kind is Kind.CONTENT:
            self.contents += 1
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
