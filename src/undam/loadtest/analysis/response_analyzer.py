"""From the raw reads of one answer to what was measured. Pure; it may be fed piece by piece.

HTTP framing, codings, events and their JSON are all judged here and not as the reads come in, so
that judging never makes a read late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from undam.apis import Api, Meaning, api_named
from undam.diagnosis.reading import form_of
from undam.errors import RemoteProtocolError
from undam.loadtest.analysis.content_path import content_reader
from undam.loadtest.analysis.counting import Counter
from undam.loadtest.analysis.framing import HeadCache, ResponseFraming
from undam.loadtest.analysis.refusal import describe_refusal, one_line, retry_after_s
from undam.loadtest.analysis.template import TemplateSet
from undam.record import Head
from undam.record.request_result import ContentRead, Outcome, RequestResult

# Of an answer that is no stream: enough to show what it says.
_KEPT_BYTES = 4096
# A form shows in its first line.
_SNIFFED_BYTES = 64


RawRead = tuple[int, int, int, bytes]
"""A read: ``at_ns``, ``slack_ns`` and ``late_ns`` as of a ``ContentRead``, and its bytes."""


class EndCause(Enum):
    """How the reading of an answer came to its end."""

    COMPLETE = "over"
    """Its framing says so."""
    CLOSED = "closed"
    """The server closed the connection in good order."""
    FAULT = "fault"
    """Something went wrong; ``kind`` and ``message`` say what."""
    STOPPED = "stopped"
    """This program stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnd:
    """All that is known of a request apart from its reads; fields as in ``RequestResult``."""

    number: int
    worker: int
    warmup: bool
    intended_ns: int
    started_ns: int | None
    ended_ns: int
    how: EndCause
    kind: str = ""
    message: str = ""
    stamped: bool = True


class ApiContext:
    """What a worker knows of the language of its answers, and learns of it.

    Args:
        secrets: what must not appear in messages.

    Raises:
        KeyError: there is no API of that name.
    """

    def __init__(
        self, api: str, content_path: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        self.api: Api = api_named(api)
        self.read: Callable[[str, str], Meaning] = (
            self.api.read if content_path is None else content_reader(content_path)
        )
        self.templates = TemplateSet(self.read)
        self.heads = HeadCache()
        self.secrets = secrets


class ResponseAnalyzer:
    """One answer, from its first read to its end."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._framing = ResponseFraming(context.heads)
        self._counter: Counter | None = None
        self._reads: list[ContentRead] = []
        self._head_ns: int | None = None
        self._form: str | None = None
        self._kept = b""
        self._body_bytes = 0
        self._any_bytes = False
        self._fault: tuple[str, str] | None = None
        self._announced_ns: int | None = None
        self._last: RawRead | None = None

    def receive(self, read: RawRead) -> None:
        """Take the next read."""
        if self._fault is not None:
            return
        self._last = read
        self._any_bytes = True
        try:
            body = self._framing.receive_data(read[3])
        except RemoteProtocolError as error:
            body = self._framing.rest()
            self._fault = _broken(error, "bad-http")
        if self._head_ns is None and self._framing.head is not None:
            self._head_ns = read[0]
        if body:
            self._body_bytes += len(body)
            self._take(read, body)

    def finish(self, ended: RequestEnd) -> RequestResult:
        """What was measured; nothing may be received after it."""
        head = self._framing.head
        self._framing.close()
        if self._fault is None and self._counter is not None and self._ended_well(ended):
            self._last_events()
        outcome, kind, message = self._verdict(ended, head)
        counter = self._counter
        ended_ns = ended.ended_ns
        cut = ended.how is EndCause.FAULT or ended.how is EndCause.STOPPED
        if cut and outcome is Outcome.COMPLETE:
            # The answer was whole when it said so, whatever became of the connection.
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
            tokens=None if counter is None else counter.tokens,
            empties=0 if counter is None else counter.empties,
            heartbeats=0 if counter is None else counter.heartbeats,
            body_bytes=self._body_bytes,
            stamped=ended.stamped,
            retry_after_s=wait_s,
        )

    def _take(self, read: RawRead, body: bytes) -> None:
        counter = self._counter
        if counter is None:
            counter = self._open(body)
            if counter is None:
                return
            body, self._kept = self._kept, b""
        try:
            events = counter.receive_data(body)
        except RemoteProtocolError as error:
            self._fault = self._fault or _broken(error, "too-large")
            return
        if events:
            self._reads.append(ContentRead(*read[:3], events))
        if counter.ends and self._announced_ns is None:
            self._announced_ns = read[0]

    def _open(self, body: bytes) -> Counter | None:
        """Begin to count, once it is clear that this is a stream."""
        head = self._framing.head
        if self._form == "none":
            self._kept = (self._kept + body)[:_KEPT_BYTES]
            return None
        self._kept += body
        assert head is not None
        form = form_of(head, self._kept)
        if head.status // 100 != 2:
            form = "none"
        elif form == "none" and len(self._kept) < _SNIFFED_BYTES:
            return None
        self._form = form
        if form == "none":
            return None
        self._counter = Counter(form, self._context.read, self._context.templates)
        return self._counter

    def _ended_well(self, ended: RequestEnd) -> bool:
        closed = ended.how is EndCause.CLOSED and self._framing.until_close
        return self._framing.complete or closed

    def _last_events(self) -> None:
        assert self._counter is not None
        assert self._last is not None
        try:
            events = self._counter.receive_eof()
        except RemoteProtocolError as error:
            self._fault = _broken(error, "too-large")
            return
        if events:
            last = self._last
            known = self._reads[-1] if self._reads else None
            if known is not None and known.at_ns == last[0]:
                self._reads[-1] = known._replace(events=known.events + events)
            else:
                self._reads.append(ContentRead(*last[:3], events))

    def _verdict(self, ended: RequestEnd, head: Head | None) -> tuple[Outcome, str, str]:
        if head is None:
            return self._headless(ended)
        if head.status // 100 != 2:
            return Outcome.ERROR, f"status-{head.status}", describe_refusal(head, self._kept)
        if self._counter is not None or form_of(head, self._kept) != "none":
            return self._of_stream(ended)
        if ended.how is EndCause.STOPPED:
            return Outcome.ABANDONED, "", ""
        if ended.how is EndCause.FAULT and not self._kept:
            return Outcome.ERROR, ended.kind, ended.message
        return Outcome.ERROR, "not-a-stream", describe_refusal(head, self._kept)

    def _headless(self, ended: RequestEnd) -> tuple[Outcome, str, str]:
        if self._fault is not None:
            return Outcome.ERROR, *self._fault
        if ended.how is EndCause.STOPPED:
            return Outcome.ABANDONED, "", ""
        if ended.how is EndCause.FAULT:
            return Outcome.ERROR, ended.kind, ended.message
        if self._any_bytes:
            return Outcome.ERROR, "truncated", "the connection closed within the response head"
        return Outcome.ERROR, "closed", "the server closed the connection without an answer"

    def _of_stream(self, ended: RequestEnd) -> tuple[Outcome, str, str]:
        counter = self._counter
        if counter is not None:
            if counter.error is not None:
                return Outcome.ERROR, "error-event", counter.error
            if counter.malformed is not None:
                said = f"an event is not JSON: {counter.malformed}"
                return Outcome.ERROR, "malformed", said
            if counter.ends:
                return Outcome.COMPLETE, "", ""
        if self._fault is not None:
            return Outcome.INCOMPLETE, *self._fault
        if ended.how is EndCause.STOPPED:
            return Outcome.ABANDONED, "", ""
        if ended.how is EndCause.FAULT:
            return Outcome.INCOMPLETE, ended.kind, ended.message
        if not self._ended_well(ended):
            said = "the connection closed before the end of the body"
            return Outcome.INCOMPLETE, "truncated", said
        return self._of_silent_end(counter)

    def _of_silent_end(self, counter: Counter | None) -> tuple[Outcome, str, str]:
        coding = self._framing.unfinished()
        if coding is not None:
            said = f"the body ended in the middle of its {coding} data"
            return Outcome.INCOMPLETE, "truncated", said
        if self._kept if counter is None else counter.leftover_bytes:
            said = "the stream ended in the middle of an event"
            return Outcome.INCOMPLETE, "half-event", said
        if self._context.api.announces_end:
            said = "the stream ended without saying that the answer is complete"
            return Outcome.INCOMPLETE, "no-end", said
        if counter is None or not counter.contents:
            return Outcome.INCOMPLETE, "empty", "the stream ended without any content"
        return Outcome.COMPLETE, "", ""


def _broken(error: RemoteProtocolError, kind: str) -> tuple[str, str]:
    text = str(error)
    if "larger than" in text:
        return "too-large", text
    return kind, text
