"""An answer on its way to the client, read by read, and the ways it ends.

What is done for each token stands in `UpstreamConnection.data_received`, which notes it in a track.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol

from undam.gateway.http.error_responses import SERVER_ERROR, error_body, error_event, told_event
from undam.gateway.http.fast_path import Track
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.response_writer import Outlet
from undam.gateway.interfaces import Ending, Passage, Ticket, Verdict
from undam.gateway.relay.attempt import Attempt
from undam.gateway.relay.first_content import Opening, is_announced_end
from undam.gateway.relay.race import Race, Rules

# The last events of a stream, where an upstream cuts them in pieces.
_TAIL_BYTES = 8 << 10
# An upstream's error that is told as an event is short and comes at once, or it is of no use.
_MAX_TOLD_BYTES = 64 << 10
_TELLING_S = 2.0

_FAILURES = {
    None: (503, Ending.NO_UPSTREAM),
    Verdict.REFUSED: (502, Ending.UPSTREAM_REFUSED),
    Verdict.DIED: (502, Ending.UPSTREAM_DIED),
    Verdict.TIMEOUT: (504, Ending.UPSTREAM_TIMEOUT),
}
_BOM = b"\xef\xbb\xbf"


def _nothing() -> None:
    """Stands for what is over."""


class Host(Protocol):
    """What a relay needs of the connection it answers on."""

    def look_at(self, due: float) -> None:
        """Call ``pulse`` at ``due`` or before."""
        ...

    def later(self, job: Callable[[], None]) -> None:
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
        "_body", "_host", "_opening", "_outlet", "_paused_at", "_race", "_read_at", "_rules",
        "_stuck_bytes", "_task", "_telling", "_telling_until", "_ticket", "_track", "_untold",
        "decided", "over", "passage",
    )  # fmt: skip

    def __init__(self, host: Host, rules: Rules, passage: Passage, outlet: Outlet) -> None:
        self.decided = self.over = False
        self.passage = passage
        self._host = host
        self._rules = rules
        self._outlet = outlet
        self._race: Race | None = None
        self._body = b""
        self._opening: Opening | None = None
        # Reads of the two ways, short and long; the later one counts.
        self._track = Track(outlet.write, self._hand_over, passage.began_at)
        self._read_at = passage.began_at
        self._paused_at = inf
        self._stuck_bytes = 0
        self._telling: list[bytes] | None = None
        self._telling_until = inf
        self._ticket: Ticket | None = None
        self._untold: Attempt | None = None
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def due(self) -> float:
        """When something is to be done though nothing came."""

    def won(self, attempt: Attempt, now: float) -> None:
        """See `race.Owner`."""
        head = attempt.head
        assert head is not None
        self._opening = attempt.opening
        if not self._outlet.opened:
            self._outlet.open(head, now, follows=bool(attempt.held))
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
            self._outlet.flush()
        self._host.look_at(self.due())

    def foresee(self, head: ResponseHead) -> None:
        """See `race.Owner`."""
        self._outlet.make(head)

    def body_came(self, attempt: Attempt, data: bytes, now: float) -> None:
        """See `race.Owner`."""
        decided = self.decided
        self._pass_on(attempt, data, data, now)
        if self.decided is not decided:
            self._host.look_at(self.due())

    def _pass_on(self, attempt: Attempt, data: bytes, unread: bytes, now: float) -> None:
        """Pass ``data``, of which the opening has not read ``unread``."""
        self._read_at = now
        passage = self.passage
        if self._telling is not None:
            self._telling.append(data)
            if sum(map(len, self._telling)) > _MAX_TOLD_BYTES:
                self.tell_upstream_error(attempt)
            return
        outlet = self._outlet
        undecided = not self.decided
        if undecided:
            if not passage.bytes_in and passage.heartbeats:
                data = data.removeprefix(_BOM)  # It may stand at the very beginning only.
        elif outlet.boundary is not None and not data.startswith(b":"):
            self._track.came(now)
        passage.bytes_in += len(data)
        level = outlet.boundary is None or outlet.boundary.level
        connection = attempt.connection
        outlet.body(data, now, follows=connection is not None and connection.complete)
        if undecided:
            self._look_for_content(attempt, unread, now)
        track = self._track
        if level:
            track.before, track.last = track.last, data
        else:
            track.last = (track.last + data)[-_TAIL_BYTES:]

    def _look_for_content(self, attempt: Attempt, data: bytes, now: float) -> None:
        opening = self._opening
        if opening is not None and not opening.decided and not opening.take(data):
            return
        self.decided = True
        self._track.at = now
        # From here on nobody else is asked: a long stream need not keep what that would take.
        self._opening = attempt.opening = None
        self._body = b""
        facts = self._rules.facts
        facts.headers = [one for one in facts.headers if one[0][:5].lower() == b"trace"]
        if self._race is not None:
            self._race.settle()
        if opening is None or opening.content:
            self.passage.content_at = now
            self.passage.reads += self._outlet.boundary is not None
            self._untold = attempt
            self._host.later(self.tell_content)

    def tell_content(self) -> None:
        """See `race.Owner`."""
        attempt, self._untold = self._untold, None
        content_at = self.passage.content_at
        if attempt is None or content_at is None:
            return
        rules = self._rules
        if rules.facts.streams:
            waited_s = content_at - attempt.asked_at
            rules.director.saw_first_content(attempt.upstream, rules.facts, waited_s)
        rules.observer.first_content(self.passage)

    def track_for(self, attempt: Attempt) -> Track | None:
        """See `race.Owner`."""
        outlet = self._outlet
        boundary = outlet.boundary
        if boundary is None or not boundary.level or not self.decided:
            return None
        return self._track if outlet.chunked and self._telling is None else None

    def end_came(self, attempt: Attempt) -> None:
        """See `race.Owner`."""
        if self._telling is not None:
            self.tell_upstream_error(attempt)
            return
        facts = self._rules.facts
        events = self._outlet.boundary is not None
        whole = not (events and facts.streams and facts.api.announces_end) or is_announced_end(
            facts.api, self._track.before + self._track.last
        )
        if not whole and self._rules.terms.tell_incomplete:
            message = "the upstream ended the stream before the answer was complete"
            self.tell(502, message, SERVER_ERROR)
            self.end(Ending.INCOMPLETE, message, keep=False)
            return
        self._outlet.finish()
        self.end(Ending.COMPLETE if whole else Ending.INCOMPLETE, keep=self._outlet.keep)

    def broke(self, verdict: Verdict, why: str) -> None:
        """See `race.Owner`."""
        status, ending = _FAILURES[verdict]
        self.tell(status, f"the answer broke off: {why}", SERVER_ERROR)
        self.end(ending, why, keep=False)

    def nobody(self, verdict: Verdict | None, why: str, now: float) -> None:
        """See `race.Owner`."""
        status, ending = _FAILURES[verdict]
        self.tell(status, why, SERVER_ERROR)
        self.end(ending, why, keep=self._outlet.keep)

    def tell_upstream_error(self, attempt: Attempt) -> None:
        """Make an event of an answer that came too late to be passed with its own status."""
        head, told = attempt.head, self._telling
        assert head is not None
        assert told is not None
        facts = self._rules.facts
        detail = f"the upstream answered {head.status}"
        if head.status < 300:
            kind = (head.get(b"content-type") or b"nothing").decode("latin-1")[:80]
            detail += f" with {kind}, which is no event stream"
            event = error_event(facts.api, 502, detail)
        else:
            event = told_event(facts.api, head.status, b"".join(told))
        self._outlet.break_off(event, monotonic())
        self.end(Ending.UPSTREAM_ERROR, detail, keep=False)

    def tell(self, status: int, message: str, kind: str, lines: bytes = b"") -> None:
        """Tell of an error by a whole answer while there is none, else by an event."""
        api = self._rules.facts.api
        now = monotonic()
        if self._outlet.opened:
            self._outlet.break_off(error_event(api, status, message, kind), now)
        else:
            lines += b"Content-Type: application/json\r\n"
            self._outlet.answer(status, lines, error_body(api, status, message, kind), now)

    # The end.

    def _hand_over(self) -> None:
        gaps = self._track.take_gaps()
        if gaps and self._outlet.boundary is not None:
            self.passage.reads += len(gaps)
            self._rules.observer.gaps(self.passage, gaps)

    def end(self, ending: Ending, detail: str = "", *, keep: bool) -> None:
        """It is over, for this reason; ``keep``: the client's connection can go on."""
        if self.over:
            return
        self.over = True
        if self._task is not None:
            self._task.cancel()
        race, self._race = self._race, None
        if race is not None:
            race.cancel()
        self._track.full = _nothing  # It is a method of this object: a cycle less to collect.
        if self._ticket is not None:
            self._ticket.release()
        passage = self.passage
        passage.bytes_in += self._track.bytes
        passage.bytes_out += self._track.bytes
        passage.ending, passage.detail, passage.ended_at = ending, detail, monotonic()
        self._host.later(self._close_books)
        self._host.relay_over(keep=keep)

    def _close_books(self) -> None:
        self._hand_over()
        self._rules.observer.ended(self.passage)
