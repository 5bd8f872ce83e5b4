"""One request of a load test as it was measured, and its form as a line of a record.

All times are CLOCK_REALTIME nanoseconds of the host that measured. Only content counts as an event
here: a role, a comment, an empty delta and the usage are counted apart and never start a TTFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How a request ended, as the one who reads the answer would say."""

    COMPLETE = "complete"
    """The stream said that it is complete; where its API says nothing, its framing did."""
    INCOMPLETE = "incomplete"
    """A stream began and ended, in good order or not, without saying that it is complete."""
    ERROR = "error"
    """No usable stream: refused, a status, no answer in time, an error told inside the stream."""
    ABANDONED = "abandoned"
    """This program stopped before the answer was over; it counts neither for nor against."""


class ContentRead(NamedTuple):
    """A read that completed at least one content event.

    Attributes:
        at_ns: when its last byte arrived (the kernel's stamp, or the time of the read).
        slack_ns: the read's earlier events arrived at most so long before ``at_ns``: nothing was
            there to be read at ``at_ns - slack_ns``.
        late_ns: how long the bytes waited in the kernel for this program.
        events: how many content events it completed.
    """

    at_ns: int
    slack_ns: int
    late_ns: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """One measured request.

    Args:
        number: its place in the plan, from 0, over all workers.
        worker: which worker sent it.
        warmup: it is left out of all figures.
        intended_ns: when it should have started; TTFT counts from here.
        started_ns: when its last byte was handed to the kernel; ``None`` if it never was.
        head_ns: when the response's head was in.
        ended_ns: when the answer was over, or given up.
        status: of the response.
        kind: of the failure, one word: refused, reset, timeout, status-429, not-a-stream,
            malformed, error-event, truncated, no-end, …; "" for a complete answer.
        message: one line about it, without secrets.
        reads: those with content, in order.
        tokens: completion tokens, where the server told them.
        empties: role chunks, empty deltas and the like.
        heartbeats: comments and events that only keep the connection alive.
        body_bytes: of the body, as read.
        stamped: every read bore the kernel's stamp.
        retry_after_s: what a 429 or 503 asked for; it was not obeyed.
    """

    number: int
    worker: int
    intended_ns: int
    ended_ns: int
    outcome: Outcome
    warmup: bool = False
    started_ns: int | None = None
    head_ns: int | None = None
    status: int | None = None
    kind: str = ""
    message: str = ""
    reads: tuple[ContentRead, ...] = ()
    tokens: int | None = None
    empties: int = 0
    heartbeats: int = 0
    body_bytes: int = 0
    stamped: bool = True
    retry_after_s: float | None = None

    @property
    def events(self) -> int:
        """Content events in all."""
        return sum(read.events for read in self.reads)

    @property
    def ttft_ns(self) -> int | None:
        """From the intended start to the read that brought the first content."""
        return self.reads[0].at_ns - self.intended_ns if self.reads else None

    @property
    def send_delay_ns(self) -> int | None:
        """How late this program was in sending it."""
        return None if self.started_ns is None else max(0, self.started_ns - self.intended_ns)
