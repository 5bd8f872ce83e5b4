"""Request in flight: the raw reads of its response, and detection of the response's end.

Only the end of the response is detected while the load runs, in most cases from the last bytes of
a read. llhttp confirms it and parses each byte once. Events are analyzed later.
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
# Last bytes of a chunked body, with or without trailers.
_LAST_BYTES = b"\r\n\r\n"

# Reads that can end the response: any read, only reads that end like a chunked body, or none, if
# the response ends with the connection.
_ANY, _CHUNKED, _CLOSE = range(3)


class ActiveRequest:
    """A request and its response so far.

    Attributes:
        complete: whether the response has ended, according to its framing.
        fault: reason to stop reading, as (kind, message); ``None`` if there is none.
        keep: whether the connection can carry another request.
        pooled: whether the connection was idle before, so that the server may have closed it.
        resent: whether the request was sent again on another connection.
        stamped: whether every read so far has a kernel timestamp.
        blurred: whether the arrival of a read may be late; see ``RequestResult``.
        ended: set when the request has ended for any reason.
    """

    __slots__ = (
        "_analyzer",
        "_fed",
        "_final",
        "_framed",
        "_parser",
        "_watch",
        "blurred",
        "complete",
        "deadline_ns",
        "due",
        "ended",
        "fault",
        "keep",
        "pooled",
        "reads",
        "request",
        "resent",
        "size",
        "stamped",
        "started_ns",
    )

    def __init__(self, due: DueRequest, request: bytes, deadline_ns: int) -> None:
        self.due = due
        self.request = request
        self.deadline_ns = deadline_ns
        self.started_ns: int | None = None
        self.reads: list[RawRead] = []
        self.size = 0
        self.stamped = True
        self.blurred = False
        self.complete = False
        self.fault: tuple[str, str] | None = None
        self.keep = False
        self.pooled = False
        self.resent = False
        self.ended: RequestEnd | None = None
        self._watch = _ANY
        self._fed = 0
        self._final = False
        self._framed: int | None = None
        self._analyzer: ResponseAnalyzer | None = None
        # The parser is created with the first read, because creating it earlier would delay the
        # request.
        self._parser: httptools.HttpResponseParser | None = None

    def receive(self, read: RawRead) -> bool:
        """Process a read; return true if it was the last one (see ``complete`` and ``fault``)."""
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
        self._check_size()
        return self.complete or self.fault is not None

    def analyze(self, context: ApiContext, max_reads: int) -> bool:
        """Analyze at most ``max_reads`` of the pending reads; return true if none is left."""
        if self._fed < len(self.reads) and not self.complete:
            self._feed()
        analyzer = self._analyzer
        if analyzer is None:
            analyzer = self._analyzer = self._make_analyzer(context)
        for read in self.reads[:max_reads]:
            analyzer.receive(read)
        del self.reads[:max_reads]
        self._fed = len(self.reads)
        return not self.reads

    def result(self, context: ApiContext) -> RequestResult:
        """Return the result. The request must have ``ended``, with all its reads analyzed."""
        assert self.ended is not None
        return (self._analyzer or self._make_analyzer(context)).finish(self.ended)

    def _make_analyzer(self, context: ApiContext) -> ResponseAnalyzer:
        return ResponseAnalyzer(context)

    def end(
        self, worker: int, at_ns: int, cause: EndCause, fault: tuple[str, str] = ("", "")
    ) -> None:
        """Record the end of the request."""
        # The parser refers to this object. Garbage collection is off, so the reference cycle is
        # broken here.
        self._parser = None
        due = self.due
        self.ended = RequestEnd(
            number=due.number,
            worker=worker,
            warmup=due.warmup,
            intended_ns=due.intended_ns,
            session=due.session,
            turn=due.turn,
            started_ns=self.started_ns,
            ended_ns=at_ns,
            cause=cause,
            kind=fault[0],
            message=fault[1],
            stamped=self.stamped,
            blurred=self.blurred,
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
            # Invalid data after a complete response only means that the connection is unusable.
            self.keep = False
            if not self.complete:
                self.fault = ("bad-http", str(error) or type(error).__name__)

    def _check_size(self) -> None:
        if self.complete:
            return
        if not self._final and self.size >= MAX_HEAD_BYTES:
            self.fault = ("too-large", f"the response head is larger than {MAX_HEAD_BYTES} bytes")
        elif self.size > MAX_BODY_BYTES:
            self.fault = ("too-large", f"the response is larger than {MAX_BODY_BYTES} bytes")

    # Callbacks for httptools.

    def on_message_begin(self) -> None:
        # A second message on the connection is a response that belongs to no request.
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
