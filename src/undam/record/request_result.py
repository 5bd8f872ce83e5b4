"""Result of one load-test request.

All times are CLOCK_REALTIME nanoseconds of the measuring host. Only content counts as an event:
roles, comments, empty deltas and usage are counted separately and do not end the TTFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

CANCELLED = "cancelled"
"""Kind of an abandoned request that the load test cancelled on purpose."""
LOCAL_LIMIT = "local-limit"
"""Kind of an error that a limit of the load generator's machine causes."""


class Outcome(StrEnum):
    """Outcome of a request, as observed by the reader."""

    COMPLETE = "complete"
    """The stream marked its end; if its API has no end marker, the framing did."""
    INCOMPLETE = "incomplete"
    """The stream started, and ended without its end marker."""
    ERROR = "error"
    """No usable stream: connection refused, error status, timeout, or an error event."""
    ABANDONED = "abandoned"
    """The load generator abandoned the request before the response ended; excluded from all
    metrics."""


class ContentRead(NamedTuple):
    """A read that completed at least one content event.

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


class IntegrityCounts(NamedTuple):
    """Counts of lost, repeated, reordered or altered events in a response.

    Attributes:
        evidence: "numbered-text" or "stamps" of a beacon, "sequence-numbers", "event-ids", or
            "events" if the events have no number.
        events: number of events that were sent, as far as it is known.
        torn: places with a replacement character or half of a surrogate pair.
        mixed: events of another answer.
        first: the first place of each kind of fault.
    """

    evidence: str
    events: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    altered: int = 0
    torn: int = 0
    mixed: int = 0
    first: tuple[tuple[str, str], ...] = ()

    @property
    def faults(self) -> dict[str, int]:
        """Number of faults by kind; kinds that did not occur are omitted."""
        return {kind: n for kind in INTEGRITY_FAULTS if (n := getattr(self, kind))}


INTEGRITY_FAULTS = ("lost", "duplicated", "reordered", "altered", "torn", "mixed")
"""Kinds of faults in ``IntegrityCounts``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """Result of one load-test request.

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
        blurred: whether a read was late and also has later data of other HTTP/2 streams. Then its
            content may have arrived earlier by up to ``slack_ns``, also if it is a single event.
        retry_after_s: ``Retry-After`` of a 429 or 503; the load generator does not obey it.
        answer_ns: arrival of the first content that is not reasoning.
        prompt_tokens: tokens of the prompt, if the server reported usage.
        cached_tokens: tokens of the prompt that the server took from its prefix cache, if reported.
        reasoning_tokens: completion tokens spent on reasoning, if reported.
        integrity: comparison with what was sent; ``None`` if the events have no numbers and no
            damaged character.
        session: number of its conversation among those that its worker has started; ``None`` for a
            single request.
        turn: position in the conversation, from 0.
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
    blurred: bool = False
    retry_after_s: float | None = None
    answer_ns: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    integrity: IntegrityCounts | None = None
    session: int | None = None
    turn: int | None = None

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
        """Delay from the intended to the actual start."""
        return None if self.started_ns is None else max(0, self.started_ns - self.intended_ns)

    @property
    def tpot_ns(self) -> int | None:
        """Mean time per token after the first read; ``None`` if a single read brought all content.

        The tokens of the first read arrived before the time that is measured, so they are not
        counted. If the server reports the number of tokens, each event counts as its share of them.
        """
        if not self.reads:
            return None
        events, first = self.events, self.reads[0]
        tokens = self.streamed_tokens * (events - first.events) / events
        span_ns = self.reads[-1].at_ns - first.at_ns
        return round(span_ns / tokens) if tokens > 0 and span_ns >= 0 else None

    @property
    def streamed_tokens(self) -> int:
        """Number of streamed tokens; the number of events if the server reported no usage.

        Reasoning that the server counts but does not stream took place before the first event.
        """
        if self.tokens is None:
            return self.events
        begins_with_answer = (
            self.answer_ns is not None and self.reads and self.answer_ns <= self.reads[0].at_ns
        )
        hidden = (self.reasoning_tokens or 0) if begins_with_answer else 0
        return self.tokens - hidden if hidden < self.tokens else self.tokens
