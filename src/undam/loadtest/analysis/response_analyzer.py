"""Incremental analysis of one response: raw reads in, a request result out. No I/O.

HTTP framing, codings, events and their JSON are parsed here, after the reads were made, so that
parsing never delays a read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from undam.apis import PLAIN, Api, Meaning, ShapeReader, api_named
from undam.errors import RemoteProtocolError
from undam.framing import Framing
from undam.framing.decoder import new_decoder
from undam.framing.detect import has_bare_values
from undam.loadtest.analysis.content_path import content_reader
from undam.loadtest.analysis.counting import MAX_EVENT_BYTES, EventCounter
from undam.loadtest.analysis.document import Document, read_document
from undam.loadtest.analysis.form import form_of, is_document, is_utf8
from undam.loadtest.analysis.framing import HeadCache, MessageFraming, ResponseFraming
from undam.loadtest.analysis.refusal import describe_refusal, one_line, retry_after_s
from undam.loadtest.analysis.template import TemplateSet
from undam.loadtest.protocol import MAX_DOCUMENT_BYTES
from undam.record import Head
from undam.record.request_result import ContentRead, Outcome, RequestResult

# Number of body bytes to keep and quote in the message if a response is not a stream.
_KEPT_BYTES = 4096
_NO_DOCUMENT = Document()


RawRead = tuple[int, int, int, bytes]
"""A read: ``at_ns``, ``slack_ns`` and ``late_ns`` as in ``ContentRead``, and its bytes."""


class EndCause(Enum):
    """Reason why reading a response ended."""

    COMPLETE = "complete"
    """The response is complete according to its framing."""
    CLOSED = "closed"
    """The server closed the connection cleanly."""
    FAULT = "fault"
    """An error occurred; see ``kind`` and ``message``."""
    STOPPED = "stopped"
    """This program stopped reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnd:
    """End of a request, without its reads. Fields are as in ``RequestResult``."""

    number: int
    worker: int
    warmup: bool
    intended_ns: int
    started_ns: int | None
    ended_ns: int
    cause: EndCause
    kind: str = ""
    message: str = ""
    stamped: bool = True
    blurred: bool = False
    session: int | None = None
    turn: int | None = None


class ApiContext:
    """API of a worker's responses, with the caches that the response analyzers share.

    Args:
        api: name of one of ``undam.apis``.
        content_path: see ``Job``.
        secrets: values that must not appear in messages.
        streams: whether responses are streams. Otherwise each is one JSON document.

    Raises:
        KeyError: the API is unknown.
    """

    def __init__(
        self,
        api: str,
        content_path: str | None = None,
        secrets: tuple[str, ...] = (),
        *,
        streams: bool = True,
    ) -> None:
        self.streams = streams
        self._api: Api = api_named(api)
        # All streams of a worker come from one endpoint, so they share the detected API.
        detects = content_path is None and self._api is PLAIN
        self._shape = ShapeReader(self._api) if detects else None
        self.read: Callable[[str, str], Meaning] = (
            content_reader(content_path)
            if content_path is not None
            else self._api.read
            if self._shape is None
            else self._shape.read
        )
        self.templates = TemplateSet(self.read)
        self.heads = HeadCache()
        self.secrets = secrets

    @property
    def announces_end(self) -> bool:
        """Return whether a complete stream of this API has an end marker, as far as is known."""
        return (self._api if self._shape is None else self._shape.api).announces_end


class ResponseAnalyzer:
    """Analyzer of one response, from its first read to its end.

    Args:
        framing: framing of the response; ``None`` means HTTP/1.1.
    """

    def __init__(self, context: ApiContext, framing: MessageFraming | None = None) -> None:
        self._context = context
        self._framing = ResponseFraming(context.heads) if framing is None else framing
        self._counter: EventCounter | None = None
        self._reads: list[ContentRead] = []
        self._head_ns: int | None = None
        self._kept = b""
        # Beginning of the body, which is quoted in a message if the body is not a stream.
        self._beginning = b""
        self._form: Framing | None = None
        self._body_bytes = 0
        self._any_bytes = False
        self._fault: tuple[str, str] | None = None
        self._announced_ns: int | None = None
        self._last: RawRead | None = None
        self._answer_ns: int | None = None
        # Parts of the body, if the response is a single document instead of a stream.
        self._parts: list[bytes] = []
        self._document: Document | None = None

    def receive(self, read: RawRead) -> None:
        """Process the next read."""
        if self._fault is not None:
            return
        self._last = read
        self._any_bytes = True
        try:
            body = self._framing.receive_data(read[3])
        except RemoteProtocolError as error:
            body = self._framing.rest()
            self._fault = _fault_from(error, "bad-http")
        if self._head_ns is None and self._framing.head is not None:
            self._head_ns = read[0]
        if body:
            self._body_bytes += len(body)
            self._take(read, body)

    def finish(self, ended: RequestEnd) -> RequestResult:
        """Return the result. Do not call `receive` afterwards."""
        head = self._framing.head
        self._framing.close()
        if self._parts:
            self._kept = b"".join(self._parts)
        if self._fault is None and self._is_whole(ended):
            self._finish_body()
        outcome, kind, message = self._classify(ended, head)
        counter, document = self._counter, self._document or _NO_DOCUMENT
        usage = document.usage if counter is None else counter.usage
        ended_ns = ended.ended_ns
        aborted = ended.cause is EndCause.FAULT or ended.cause is EndCause.STOPPED
        if aborted and outcome is Outcome.COMPLETE:
            # The final event arrived before the connection failed, so its arrival is the end of the
            # response.
            ended_ns = self._announced_ns or ended_ns
        wait_s = None
        if head is not None and head.status // 100 != 2:
            wait_s = retry_after_s(head, self._head_ns or 0)
        return RequestResult(
            number=ended.number,
            worker=ended.worker,
            intended_ns=ended.intended_ns,
            ended_ns=ended_ns,
            outcome=outcome,
            warmup=ended.warmup,
            started_ns=ended.started_ns,
            head_ns=self._head_ns,
            status=None if head is None else head.status,
            kind=kind,
            message=one_line(message, self._context.secrets) if message else "",
            reads=tuple(self._reads),
            tokens=document.tokens if counter is None else counter.reported_tokens,
            empties=0 if counter is None else counter.empties,
            heartbeats=0 if counter is None else counter.heartbeats,
            body_bytes=self._body_bytes,
            stamped=ended.stamped,
            blurred=ended.blurred,
            retry_after_s=wait_s,
            answer_ns=self._answer_ns,
            prompt_tokens=usage.prompt,
            cached_tokens=usage.cached,
            reasoning_tokens=usage.reasoning,
            integrity=None
            if counter is None
            else counter.content.finish(is_cut=outcome is not Outcome.COMPLETE),
            session=ended.session,
            turn=ended.turn,
        )

    def _take(self, read: RawRead, body: bytes) -> None:
        counter = self._counter
        if not self._context.streams:
            if self._body_bytes > MAX_DOCUMENT_BYTES:
                message = f"the document is larger than {MAX_DOCUMENT_BYTES} bytes"
                self._fault, self._parts = ("too-large", message), []
                return
            self._parts.append(body)
            return
        if counter is None:
            counter = self._open(body)
            if counter is None:
                return
            body, self._kept = self._kept, b""
        self._take_events(read, counter, body)

    def _take_events(self, read: RawRead, counter: EventCounter, body: bytes) -> None:
        try:
            events = counter.receive_data(body)
        except RemoteProtocolError as error:
            self._fault = self._fault or _fault_from(error, "malformed")
            return
        if events:
            self._reads.append(ContentRead(*read[:3], events))
            if counter.has_answer and self._answer_ns is None:
                self._answer_ns = read[0]
        if counter.ends and self._announced_ns is None:
            self._announced_ns = read[0]

    def _open(self, body: bytes) -> EventCounter | None:
        """Create the counter once the response is known to be a stream; ``None`` before that."""
        head = self._framing.head
        assert head is not None
        if head.status // 100 != 2:
            self._kept = (self._kept + body)[:_KEPT_BYTES]
            return None
        self._kept += body
        self._form = form_of(head, self._kept)
        return None if self._form is None else self._count_from(head, self._form, self._kept)

    def _count_from(self, head: Head, form: Framing, beginning: bytes) -> EventCounter:
        """Create the counter for a stream with this framing."""
        self._beginning = beginning[:_KEPT_BYTES]
        decoder = None
        if form is not Framing.SSE and (
            form is not Framing.NDJSON or has_bare_values(self._beginning)
        ):
            kind = head.get("content-type") or ""
            decoder = new_decoder(form, kind, MAX_EVENT_BYTES, beginning=self._beginning)
        self._counter = EventCounter(form, self._context.read, self._context.templates, decoder)
        self._counter.content.is_utf8 = is_utf8(head)
        return self._counter

    def _is_whole(self, ended: RequestEnd) -> bool:
        closed = ended.cause is EndCause.CLOSED and self._framing.until_close
        return self._framing.complete or closed

    def _finish_body(self) -> None:
        """Process the end of the body: read the document, or finish the events of a stream."""
        head, last = self._framing.head, self._last
        if self._context.streams:
            self._finish_events()
        elif head is not None and last is not None and head.status // 100 == 2:
            self._document = read_document(self._kept)
            if not self._document.kind:
                # A document is usable only when it is complete, so only the last read counts.
                self._reads.append(ContentRead(*last[:3], 1))
                self._answer_ns = last[0]

    def _finish_events(self) -> None:
        """Count an event that is completed only by the end of the body."""
        head = self._framing.head
        if self._counter is None:
            form = None if head is None else form_of(head, self._kept, complete=True)
            if not self._kept or head is None or form is None or head.status // 100 != 2:
                return
            self._form = form
            body, self._kept = self._kept, b""
            assert self._last is not None
            self._take_events(self._last, self._count_from(head, form, body), body)
        assert self._counter is not None
        assert self._last is not None
        try:
            events = self._counter.receive_eof()
        except RemoteProtocolError as error:
            self._fault = _fault_from(error, "malformed")
            return
        if events:
            last = self._last
            if self._counter.has_answer and self._answer_ns is None:
                self._answer_ns = last[0]
            known = self._reads[-1] if self._reads else None
            if known is not None and known.at_ns == last[0]:
                self._reads[-1] = known._replace(events=known.events + events)
            else:
                self._reads.append(ContentRead(*last[:3], events))

    def _classify(self, ended: RequestEnd, head: Head | None) -> tuple[Outcome, str, str]:
        """Return the outcome, the kind of failure and a message, both empty on success."""
        if head is None:
            return self._classify_without_head(ended)
        if head.status // 100 != 2:
            kept = self._kept[:_KEPT_BYTES]
            return Outcome.ERROR, f"status-{head.status}", describe_refusal(head, kept)
        if not self._context.streams:
            return self._classify_document(ended)
        if self._is_stream(head):
            return self._classify_stream(ended)
        if ended.cause is EndCause.STOPPED:
            return Outcome.ABANDONED, ended.kind, ""
        if ended.cause is EndCause.FAULT and not self._kept:
            return Outcome.ERROR, ended.kind, ended.message
        return Outcome.ERROR, "not-a-stream", describe_refusal(head, self._beginning or self._kept)

    def _is_stream(self, head: Head) -> bool:
        counter, form = self._counter, self._form
        if counter is None:
            return form_of(head, self._kept, complete=True) is not None
        assert form is not None
        events = counter.contents + counter.empties + counter.heartbeats
        ended = counter.ends or counter.error is not None or self._fault is not None
        return ended or not is_document(head, form, self._beginning, events)

    def _classify_without_head(self, ended: RequestEnd) -> tuple[Outcome, str, str]:
        if self._fault is not None:
            return Outcome.ERROR, *self._fault
        if ended.cause is EndCause.STOPPED:
            return Outcome.ABANDONED, ended.kind, ""
        if ended.cause is EndCause.FAULT:
            return Outcome.ERROR, ended.kind, ended.message
        if self._any_bytes:
            return Outcome.ERROR, "truncated", "the connection closed within the response head"
        return Outcome.ERROR, "closed", "the server closed the connection without a response"

    def _classify_document(self, ended: RequestEnd) -> tuple[Outcome, str, str]:
        document = self._document
        if document is not None:
            failed = Outcome.ERROR if document.kind else Outcome.COMPLETE
            return failed, document.kind, document.message
        if self._fault is not None:
            return Outcome.INCOMPLETE, *self._fault
        if ended.cause is EndCause.STOPPED:
            return Outcome.ABANDONED, ended.kind, ""
        if ended.cause is EndCause.FAULT:
            return Outcome.INCOMPLETE, ended.kind, ended.message
        message = "the connection closed before the end of the body"
        return Outcome.INCOMPLETE, "truncated", message

    def _classify_stream(self, ended: RequestEnd) -> tuple[Outcome, str, str]:
        counter = self._counter
        if counter is not None:
            if counter.error is not None:
                return Outcome.ERROR, "error-event", counter.error
            if counter.malformed is not None:
                return Outcome.ERROR, "malformed", f"an event is not JSON: {counter.malformed}"
            if counter.ends:
                return Outcome.COMPLETE, "", ""
        if self._fault is not None:
            return Outcome.INCOMPLETE, *self._fault
        if ended.cause is EndCause.STOPPED:
            return Outcome.ABANDONED, ended.kind, ""
        if ended.cause is EndCause.FAULT:
            return Outcome.INCOMPLETE, ended.kind, ended.message
        if not self._is_whole(ended):
            message = "the connection closed before the end of the body"
            return Outcome.INCOMPLETE, "truncated", message
        return self._classify_whole_body(counter)

    def _classify_whole_body(self, counter: EventCounter | None) -> tuple[Outcome, str, str]:
        """Classify a stream whose body ended without an error, but also without an end event."""
        coding = self._framing.unfinished()
        if coding is not None:
            message = f"the body ended in the middle of its {coding} data"
            return Outcome.INCOMPLETE, "truncated", message
        if self._kept if counter is None else counter.leftover_bytes:
            message = "the stream ended in the middle of an event"
            return Outcome.INCOMPLETE, "half-event", message
        if self._context.announces_end:
            message = "the stream ended without the event that marks it as complete"
            return Outcome.INCOMPLETE, "no-end", message
        if counter is None or not counter.contents:
            return Outcome.INCOMPLETE, "empty", "the stream ended without any content"
        return Outcome.COMPLETE, "", ""


def _fault_from(error: RemoteProtocolError, kind: str) -> tuple[str, str]:
    message = str(error)
    too_large = "larger than" in message or "more than" in message
    return ("too-large" if too_large else kind), message
