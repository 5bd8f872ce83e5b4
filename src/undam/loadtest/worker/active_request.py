"""One request under way: what was sent, the raw reads of its answer, and whether it is over.

Only the end of the answer is looked for here, and mostly by its last bytes. llhttp has the last
word on it, and reads each byte once; the events wait for the judge.
"""

from __future__ import annotations

import httptools

from undam.loadtest.analysis.response_analyzer import (
    ApiContext,
    EndCause,
    RawRead,
    RequestEnd,
    ResponseAnalyzer,
)
from undam.loadtest.protocol import MAX_BODY_BYTES
from undam.loadtest.worker.schedule import DueRequest
from undam.record.request_result import RequestResult

MAX_HEAD_BYTES = 65536
# The end of a chunked body, with trailers or without.
_LAST_BYTES = b"\r\n\r\n"

# Which reads may end the answer: any, those that end as a chunked body does, or none but the
# connection's own end.
_ANY, _CHUNKED, _CLOSE = range(3)


class ActiveRequest:
    """A request and its answer so far.

    Attributes:
        complete: the answer is over, as its framing says.
        fault: why no more can be read, as (kind, message); ``None`` for nothing.
        keep: the connection may carry another request after this one.
        resent: it was sent again on another connection.
        ended: set when it is over, in whatever way.
    """

    __slots__ = (
        "_analyzer",
        "_fed",
        "_final",
        "_framed",
        "_parser",
        "_watch",
        "complete",
        "deadline_ns",
        "due",
        "ended",
        "fault",
        "keep",
        "reads",
        "request",
        "resent",
        "size",
        "stamped",
        "started_ns",
    )  # fmt: skip

    def __init__(self, due: DueRequest, request: bytes, deadline_ns: int) -> None:
        self.due = due
        self.request = request
        self.deadline_ns = deadline_ns
        self.started_ns: int | None = None
        self.reads: list[RawRead] = []
        self.size = 0
        self.stamped = True
        self.complete = False
        self.fault: tuple[str, str] | None = None
        self.keep = False
        self.resent = False
        self.ended: RequestEnd | None = None
        self._watch = _ANY
        self._fed = 0
        self._final = False
        self._framed: int | None = None
        self._analyzer: ResponseAnalyzer | None = None
        # Made when something has come: until the request is sent each microsecond counts.
        self._parser: httptools.HttpResponseParser | None = None

    def receive(self, read: RawRead) -> bool:
        """Take a read; true when nothing more need be read, by ``complete`` or ``fault``."""
        data = read[3]
        self.reads.append(read)
        self.size += len(data)
        watch = self._watch
        if watch == _CHUNKED:
            if data[-4:] != _LAST_BYTES and len(data) > 3 and self.size <= MAX_BODY_BYTES:
                return False
        elif watch == _CLOSE and self.size <= MAX_BODY_BYTES:
            return False
        self._feed()
        self._bound()
        return self.complete or self.fault is not None

    def analyze(self, context: ApiContext, most: int) -> bool:
        """Judge at most so many reads of those that are there; true when none is left."""
        if self._fed < len(self.reads) and not self.complete:
            self._feed()
        analyzer = self._analyzer
        if analyzer is None:
            analyzer = self._analyzer = ResponseAnalyzer(context)
        taken = self.reads[:most]
        for read in taken:
            analyzer.receive(read)
        del self.reads[:most]
        self._fed = len(self.reads)
        return not self.reads

    def measured(self, context: ApiContext) -> RequestResult:
        """The result, once it has ``ended`` and all reads are judged."""
        assert self.ended is not None
        return (self._analyzer or ResponseAnalyzer(context)).finish(self.ended)

    def end(
        self, worker: int, at_ns: int, how: EndCause, fault: tuple[str, str] = ("", "")
    ) -> None:
        """Note the end, whatever it is."""
        # It knows this object, and no collector runs that would find the circle.
        self._parser = None
        number, intended_ns, _, warmup, _ = self.due
        self.ended = RequestEnd(
            number=number,
            worker=worker,
            warmup=warmup,
            intended_ns=intended_ns,
            started_ns=self.started_ns,
            ended_ns=at_ns,
            how=how,
            kind=fault[0],
            message=fault[1],
            stamped=self.stamped,
        )

    def _feed(self) -> None:
        fresh = self.reads[self._fed :]
        self._fed = len(self.reads)
        if self.ended is not None or self.complete or self._watch == _CLOSE:
            return
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(b"".join([read[3] for read in fresh]))
        except httptools.HttpParserUpgrade:
            self.fault = ("bad-http", "the server switched protocols")
        except httptools.HttpParserError as error:
            # What comes behind a complete answer only means that the connection is spent.
            self.keep = False
            if not self.complete:
                self.fault = ("bad-http", str(error) or type(error).__name__)

    def _bound(self) -> None:
        if self.complete:
            return
        if not self._final and self.size >= MAX_HEAD_BYTES:
            self.fault = ("too-large", f"the response head is larger than {MAX_HEAD_BYTES} bytes")
        elif self.size > MAX_BODY_BYTES:
            self.fault = ("too-large", f"the answer is larger than {MAX_BODY_BYTES} bytes")

    # What httptools calls.

    def on_message_begin(self) -> None:
        # Behind the last answer begins another that nobody asked for.
        self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._final:
            return
        name = name.lower()
        if name == b"transfer-encoding":
            self._framed = _CHUNKED if value.lower().endswith(b"chunked") else _CLOSE
        elif name == b"content-length" and self._framed is None:
            self._framed = _ANY

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self._final:
            return
        if self._parser.get_status_code() // 100 != 1:
            self._final = True
            self._watch = _CLOSE if self._framed is None else self._framed
        self._framed = None

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._final and not self.complete:
            self.complete = True
            self.keep = bool(self._parser.should_keep_alive())
