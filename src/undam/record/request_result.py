"""Result of one request of a load test.

All times are CLOCK_REALTIME nanoseconds of the measuring host. Only content counts as an event:
roles, comments, empty deltas and usage are counted separately and do not end the TTFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How a request ended, from the reader's point of view."""

    COMPLETE = "complete"
    """The stream marked its end; if its API has no end marker, the framing did."""
    INCOMPLETE = "incomplete"
    """The stream started, and ended without its end marker."""
    ERROR = "error"
    """No usable stream: connection refused, error status, timeout, or an error event."""
    ABANDONED = "abandoned"
    """The load generator stopped before the response ended; excluded from all metrics."""


class ContentRead(NamedTuple):
    """Read that completed at least one content event.

    Attributes:
        at_ns: arrival of its last byte (kernel timestamp, or the time of the read).
        slack_ns: upper bound of how long before ``at_ns`` its earlier events arrived. At
            ``at_ns - slack_ns`` the socket had nothing to read.
        late_ns: how long the bytes waited in the kernel for the load generator.
        events: number of content events that it completed.
    """

    at_ns: int
    slack_ns: int
    late_ns: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """Result of one request.

    Args:
        number: position in the plan, from 0, over all workers.
        worker: number of the worker that sent it.
        warmup: whether it is excluded from all metrics.
        intended_ns: intended start; TTFT counts from here.
        started_ns: when its last byte was passed to the kernel; ``None`` if it was not sent.
        head_ns: when the response head was complete.
        ended_ns: when the response ended or was abandoned.
        status: HTTP status of the response.
        kind: kind of failure: refused, reset, timeout, status-429, not-a-stream, malformed,
            error-event, truncated, no-end, …; "" for a complete response.
        message: one line about the failure, without secrets.
        reads: reads that completed content, in order.
        tokens: completion tokens, if the server reported usage.
        empties: number of role chunks, empty deltas and similar events.
        heartbeats: number of comments and keep-alive events.
        body_bytes: size of the body as read.
        stamped: whether every read has a kernel timestamp.
        retry_after_s: ``Retry-After`` of a 429 or 503; the load generator does not obey it.
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
        """Number of content events."""
        return sum(read.events for read in self.reads)

    @property
    def ttft_ns(self) -> int | None:
        """Time from the intended start to the read with the first content."""
        return self.reads[0].at_ns - self.intended_ns if self.reads else None

    @property
    def send_delay_ns(self) -> int | None:
        """Delay between the intended and the actual start."""
        return None if self.started_ns is None else max(0, self.started_ns - self.intended_ns)
