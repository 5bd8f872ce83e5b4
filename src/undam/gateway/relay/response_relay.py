"""An answer on its way to the client, read by read, and the ways it ends.

What is done for each token stands in `UpstreamConnection.data_received`, see `FastPath`.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol

from undam.gateway.http.error_responses import (
    SERVER_ERROR,
    error_body,
    error_event,
    upstream_error_event,
)
from undam.gateway.http.fast_path import FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.response_writer import ResponseWriter
from undam.gateway.interfaces import EndReason, Permit, RequestRecord, UpstreamResult
from undam.gateway.relay.attempt import Attempt
from undam.gateway.relay.first_content import FirstContentDetector, is_announced_end
from undam.gateway.relay.race import Race, Rules

# The last events of a stream, where an upstream cuts them in pieces.
_TAIL_BYTES = 8 << 10
# An upstream's error that is told as an event is short and comes at once, or it is of no use.
_MAX_TOLD_BYTES = 64 << 10
_TELLING_S = 2.0

_FAILURES = {
    None: (503, EndReason.NO_UPSTREAM),
    UpstreamResult.REFUSED: (502, EndReason.UPSTREAM_REFUSED),
    UpstreamResult.DIED: (502, EndReason.UPSTREAM_DIED),
    UpstreamResult.TIMEOUT: (504, EndReason.UPSTREAM_TIMEOUT),
}
_BOM = b"\xef\xbb\xbf"


def _nothing() -> None:
    """Stands for what is over."""


class Host(Protocol):
    """What a relay needs of the connection it answers on."""

    def look_at(self, due: float) -> None:
        """Call ``pulse`` at ``due`` or before."""
        ...

    def defer(self, job: Callable[[], None]) -> None:
        """Do ``job`` when others have had their turn."""
        ...

    def relay_over(self, *, keep: bool) -> None:
        """The answer is written; ``keep``: the connection can take another request."""
        ...

    def hold_body(self, hold: bool) -> None:
        """Read no more of the request's body for now, or do again."""
        ...

    def cut(self) -> None:
        """Close the connection at once; what waits to be written is lost, in the kernel, too."""
        ...

    def unsent_bytes(self) -> int:
        """What waits for the client to take it."""
        ...


class Passing:
    """The bytes of one answer; `relay.Relay` adds admission and time.

    Attributes:
        decided: the stream has content, or none will come; for any other body: it has begun.
        over: nothing may be called any more.
    """

    __slots__ = (
        "_body",
        "_detector",
        "_fast_path",
        "_host",
        "_paused_at",
        "_race",
        "_read_at",
        "_rules",
        "_stuck_bytes",
        "_task",
        "_telling",
        "_telling_until",
        "_ticket",
        "_untold",
        "_writer",
        "decided",
        "over",
        "record",
    )  # fmt: skip

    def __init__(
        self, host: Host, rules: Rules, record: RequestRecord, writer: ResponseWriter
    ) -> None:
        self.decided = self.over = False
        self.record = record
        self._host = host
        self._rules = rules
        self._writer = writer
        self._race: Race | None = None
        self._body = b""
        self._detector: FirstContentDetector | None = None
        # Reads of the two ways, short and long; the later one counts.
        self._fast_path = FastPath(writer.write, self._hand_over, record.began_at)
        self._read_at = record.began_at
        self._paused_at = inf
        self._stuck_bytes = 0
        self._telling: list[bytes] | None = None
        self._telling_until = inf
        self._ticket: Permit | None = None
        self._untold: Attempt | None = None
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def due(self) -> float:
        """When something is to be done though nothing came."""

    def won(self, attempt: Attempt, now: float) -> None:
        """See `race.Owner`."""
        head = attempt.head
        assert head is not None
        self._detector = attempt.detector
        if not self._writer.opened:
            self._writer.open(head, now, follows=bool(attempt.held))
        elif head.status != 200 or not head.events:
            self._telling = []
            self._telling_until = now + _TELLING_S
            self._host.look_at(self._telling_until)
        if self._paused_at < inf and attempt.connection is not None:
            attempt.connection.pause()
        if attempt.held:
            data, unread = b"".join(attempt.held), attempt.unread
            attempt.held, attempt.unread = [], b""
            self._pass_on(attempt, data, unread, now)
            self._writer.flush()
        self._host.look_at(self.due())

    def foresee(self, head: ResponseHead) -> None:
        """See `race.Owner`."""
        self._writer.make(head)

    def body_came(self, attempt: Attempt, data: bytes, now: float) -> None:
        """See `race.Owner`."""
        decided = self.decided
        self._pass_on(attempt, data, data, now)
        if self.decided is not decided:
            self._host.look_at(self.due())

    def _pass_on(self, attempt: Attempt, data: bytes, unread: bytes, now: float) -> None:
        """Pass ``data``, of which the detector has not read ``unread``."""
        self._read_at = now
        record = self.record
        if self._telling is not None:
            self._telling.append(data)
            if sum(map(len, self._telling)) > _MAX_TOLD_BYTES:
                self.tell_upstream_error(attempt)
            return
        writer = self._writer
        undecided = not self.decided
        if undecided:
            if not record.bytes_in and record.heartbeats:
                data = data.removeprefix(_BOM)  # It may stand at the very beginning only.
        elif writer.framer is not None and not data.startswith(b":"):
            self._fast_path.came(now)
        record.bytes_in += len(data)
        level = writer.framer is None or writer.framer.level
        connection = attempt.connection
        writer.body(data, now, follows=connection is not None and connection.complete)
        if undecided:
            self._look_for_content(attempt, unread, now)
        fast_path = self._fast_path
        if level:
            fast_path.before, fast_path.last = fast_path.last, data
        else:
            fast_path.last = (fast_path.last + data)[-_TAIL_BYTES:]

    def _look_for_content(self, attempt: Attempt, data: bytes, now: float) -> None:
        detector = self._detector
        if detector is not None and not detector.decided and not detector.take(data):
            return
        self.decided = True
        self._fast_path.at = now
        # From here on nobody else is asked: a long stream need not keep what that would take.
        self._detector = attempt.detector = None
        self._body = b""
        info = self._rules.info
        info.headers = [one for one in info.headers if one[0][:5].lower() == b"trace"]
        if self._race is not None:
            self._race.settle()
        if detector is None or detector.content:
            self.record.content_at = now
            self.record.reads += self._writer.framer is not None
            self._untold = attempt
            self._host.defer(self.tell_content)

    def tell_content(self) -> None:
        """See `race.Owner`."""
        attempt, self._untold = self._untold, None
        content_at = self.record.content_at
        if attempt is None or content_at is None:
            return
        rules = self._rules
        if rules.info.streams:
            waited_s = content_at - attempt.asked_at
            rules.router.saw_first_content(attempt.upstream, rules.info, waited_s)
        rules.observer.first_content(self.record)

    def fast_path_for(self, attempt: Attempt) -> FastPath | None:
        """See `race.Owner`."""
        writer = self._writer
        framer = writer.framer
        if framer is None or not framer.level or not self.decided:
            return None
        return self._fast_path if writer.chunked and self._telling is None else None

    def end_came(self, attempt: Attempt) -> None:
        """See `race.Owner`."""
        if self._telling is not None:
            self.tell_upstream_error(attempt)
            return
        info = self._rules.info
        events = self._writer.framer is not None
        whole = not (events and info.streams and info.api.announces_end) or is_announced_end(
            info.api, self._fast_path.before + self._fast_path.last
        )
        if not whole and self._rules.limits.tell_incomplete:
            message = "the upstream ended the stream before the answer was complete"
            self.tell(502, message, SERVER_ERROR)
            self.end(EndReason.INCOMPLETE, message, keep=False)
            return
        self._writer.finish()
        self.end(EndReason.COMPLETE if whole else EndReason.INCOMPLETE, keep=self._writer.keep)

    def broke(self, result: UpstreamResult, why: str) -> None:
        """See `race.Owner`."""
        status, end_reason = _FAILURES[result]
        self.tell(status, f"the answer broke off: {why}", SERVER_ERROR)
        self.end(end_reason, why, keep=False)

    def nobody(self, result: UpstreamResult | None, why: str, now: float) -> None:
        """See `race.Owner`."""
        status, end_reason = _FAILURES[result]
        self.tell(status, why, SERVER_ERROR)
        self.end(end_reason, why, keep=self._writer.keep)

    def tell_upstream_error(self, attempt: Attempt) -> None:
        """Make an event of an answer that came too late to be passed with its own status."""
        head, told = attempt.head, self._telling
        assert head is not None
        assert told is not None
        info = self._rules.info
        detail = f"the upstream answered {head.status}"
        if head.status < 300:
            kind = (head.get(b"content-type") or b"nothing").decode("latin-1")[:80]
            detail += f" with {kind}, which is no event stream"
            event = error_event(info.api, 502, detail)
        else:
            event = upstream_error_event(info.api, head.status, b"".join(told))
        self._writer.break_off(event, monotonic())
        self.end(EndReason.UPSTREAM_ERROR, detail, keep=False)

    def tell(self, status: int, message: str, kind: str, lines: bytes = b"") -> None:
        """Tell of an error by a whole answer while there is none, else by an event."""
        api = self._rules.info.api
        now = monotonic()
        if self._writer.opened:
            self._writer.break_off(error_event(api, status, message, kind), now)
        else:
            lines += b"Content-Type: application/json\r\n"
            self._writer.answer(status, lines, error_body(api, status, message, kind), now)

    # The end.

    def _hand_over(self) -> None:
        gaps = self._fast_path.take_gaps()
        if gaps and self._writer.framer is not None:
            self.record.reads += len(gaps)
            self._rules.observer.gaps(self.record, gaps)

    def end(self, end_reason: EndReason, detail: str = "", *, keep: bool) -> None:
        """It is over, for this reason; ``keep``: the client's connection can go on."""
        if self.over:
            return
        self.over = True
        if self._task is not None:
            self._task.cancel()
        race, self._race = self._race, None
        if race is not None:
            race.cancel()
        self._fast_path.full = _nothing  # It is a method of this object: a cycle less to collect.
        if self._ticket is not None:
            self._ticket.release()
        record = self.record
        record.bytes_in += self._fast_path.bytes
        record.bytes_out += self._fast_path.bytes
        record.end_reason, record.detail, record.ended_at = end_reason, detail, monotonic()
        self._host.defer(self._close_books)
        self._host.relay_over(keep=keep)

    def _close_books(self) -> None:
        self._hand_over()
        self._rules.observer.ended(self.record)
