"""The running sums of a load test: measured requests in, histograms and counts out.

Merging is exact: the sums of several workers are those of one that measured all. Memory is bounded
by the histograms' resolution, not by the number of requests.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from undam.metrics.gaps import ResponseGaps, extract_gaps, is_blurred
from undam.metrics.interval_histogram import IntervalHistogram
from undam.metrics.pattern import Pattern
from undam.metrics.sections import Sections
from undam.metrics.time_buckets import Block, TimeBucket
from undam.record import Outcome, RequestResult
from undam.timing import Histogram

SLOWEST = 20
"""Requests kept whole for the waterfall."""

PAUSES = 20
"""Longest gaps kept with their place."""

PAUSE_NS = 250_000_000
"""No shorter gap is ever a stall: a reader does not take it for one."""

# 0.003 % for what comes once a request, 0.012 % for gaps: both far below 0.1 ms.
_FINE = partial(Histogram, bits=16)
_FINE_GAPS = partial(Histogram, bits=14)
# 0.1 %, for what is only judged.
_ROUGH = partial(Histogram, bits=11)

# So many sections are enough for an interval and few enough for a file.
_LOTS = 64
_MOMENTS = 200
# A millisecond, the narrowest column of a timeline.
_MOMENT_SHIFT = 20


class LongGap(NamedTuple):
    """A long gap and its place."""

    gap_ns: int
    number: int
    after_events: int
    at_ns: int


@dataclass(slots=True, eq=False)
class Aggregate:
    """All that the figures of a run are made of; times in ns.

    Warm-up and abandoned requests are counted and left out of everything else. Failed ones count
    in the outcomes, statuses and the send delay; incomplete ones also in TTFT and ITL.

    Attributes:
        first_ns: when the first request was due. ``last_ns``: when the last was over.
        outcomes: requests by how they ended.
        kinds: failures by outcome and kind. ``statuses``: failures by their response's status.
        messages: of each kind of failure, the first in the plan with its message.
        asked_again: what ``Retry-After`` asked for.
        events: of all answers; ``untold_events``: of those whose server told no ``tokens``.
        without_content: complete answers without any.
        unstamped: requests with a read that bore no kernel stamp.
        backwards: requests in which the clock was set back; ``back_ns``: by how much, at the most.
        uncertain: gaps that this program's lateness hides.
        bounded: gaps in reads whose events the hop sent together, by how long they can be.
        within: gaps between the reads of one burst.
        longest: the longest gap of each answer.
        ttft_from_sent: as TTFT, from when the request left.
        slowest: the requests that took longest, and ``pauses`` the longest gaps; worst first.
    """

    warmup: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    kinds: Counter[tuple[Outcome, str]] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    messages: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked_again: Histogram = field(default_factory=_ROUGH)
    events: int = 0
    untold_events: int = 0
    tokens: int = 0
    empties: int = 0
    heartbeats: int = 0
    without_content: int = 0
    unstamped: int = 0
    backwards: int = 0
    back_ns: int = 0
    uncertain: int = 0
    ttft: IntervalHistogram = field(default_factory=partial(IntervalHistogram, bits=16))
    itl: IntervalHistogram = field(default_factory=partial(IntervalHistogram, bits=14))
    tpot: Histogram = field(default_factory=_FINE)
    e2e: Histogram = field(default_factory=_FINE)
    send_delay: Histogram = field(default_factory=_FINE)
    ttft_from_sent: Histogram = field(default_factory=_FINE)
    within: Histogram = field(default_factory=_FINE_GAPS)
    bounded: Histogram = field(default_factory=_ROUGH)
    late: Histogram = field(default_factory=_ROUGH)
    longest: Histogram = field(default_factory=_FINE_GAPS)
    per_read: Histogram = field(default_factory=_ROUGH)
    pattern: Pattern = field(default_factory=Pattern)
    blocks: Sections[Block] = field(default_factory=lambda: Sections(Block, most=_LOTS))
    time_buckets: Sections[TimeBucket] = field(
        default_factory=lambda: Sections(TimeBucket, most=_MOMENTS, shift=_MOMENT_SHIFT)
    )
    slowest: list[RequestResult] = field(default_factory=list)
    pauses: list[LongGap] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Those that count: complete, incomplete and failed."""
        return self.outcomes.total() - self.outcomes[Outcome.ABANDONED]

    @property
    def duration_ns(self) -> int:
        """From when the first request was due to when the last was over; 0 without any."""
        if self.first_ns is None or self.last_ns is None:
            return 0
        return max(0, self.last_ns - self.first_ns)

    def add(self, one: RequestResult) -> None:
        """Take one request, in any order."""
        if one.warmup:
            self.warmup += 1
            return
        self.outcomes[one.outcome] += 1
        if one.outcome is Outcome.ABANDONED:
            return
        self._span(one.intended_ns, one.ended_ns)
        block, failed = self.blocks.at(one.number), one.outcome is not Outcome.COMPLETE
        block.requests += 1
        block.failed += failed
        self.time_buckets.at(one.intended_ns).started += 1
        ended = self.time_buckets.at(one.ended_ns)
        ended.ended += 1
        ended.failed += failed
        if one.send_delay_ns is not None:
            self.send_delay.record(one.send_delay_ns)
        if failed:
            self._add_failure(one)
        if one.outcome is not Outcome.ERROR:
            self._add_answer(one, block)

    def add_all(self, many: Iterable[RequestResult]) -> None:
        """Take several requests."""
        for one in many:
            self.add(one)

    def _add_failure(self, one: RequestResult) -> None:
        self.kinds[one.outcome, one.kind] += 1
        if one.status is not None:
            self.statuses[one.status] += 1
        if one.retry_after_s is not None:
            self.asked_again.record(max(0, round(one.retry_after_s * 1e9)))
        self._say(one.kind, (one.number, one.message))

    def _say(self, kind: str, said: tuple[int, str]) -> None:
        self.messages[kind] = min(said, self.messages.get(kind, said))

    def _add_answer(self, one: RequestResult, block: Block) -> None:
        self.empties += one.empties
        self.heartbeats += one.heartbeats
        self.unstamped += not one.stamped
        complete = one.outcome is Outcome.COMPLETE
        if one.tokens is None:
            self.untold_events += one.events
        else:
            self.tokens += one.tokens
        if one.reads:
            self._add_reads(one, block)
        elif complete:
            self.without_content += 1
        if complete and one.ended_ns >= one.intended_ns:
            self.e2e.record(one.ended_ns - one.intended_ns)
            block.e2e.record(one.ended_ns - one.intended_ns)
        _keep(self.slowest, one)

    def _add_reads(self, one: RequestResult, block: Block) -> None:
        self.events += one.events
        self.late.record_all([read.late_ns for read in one.reads])
        response_gaps = extract_gaps(one)
        back_ns = max(response_gaps.back_ns, one.intended_ns - one.reads[0].at_ns)
        self.backwards += back_ns > 0
        self.back_ns = max(self.back_ns, back_ns)
        self._add_first(one, block)
        self._add_flow(one, response_gaps)
        block.itl.record_all(response_gaps.gaps)
        for _, told, _, n in response_gaps.blurred:
            block.itl.record(told, n)
        if one.outcome is Outcome.COMPLETE:
            self._add_tpot(one, block)
        time_bucket = self.time_buckets.at(one.intended_ns)
        for read in one.reads:
            time_bucket = self.time_buckets.at(read.at_ns)
            time_bucket.events += read.events
            time_bucket.late_ns = max(time_bucket.late_ns, read.late_ns)

    def _add_first(self, one: RequestResult, block: Block) -> None:
        first = one.reads[0]
        ttft = first.at_ns - one.intended_ns
        if ttft < 0:
            return
        block.ttft.record(ttft)
        self.time_buckets.at(one.intended_ns).ttft.record(ttft)
        self.ttft_from_sent.record(max(0, ttft - (one.send_delay_ns or 0)))
        can_be_off = first.events > 1 or not one.stamped
        if can_be_off and is_blurred(ttft, first.slack_ns, stamped=one.stamped):
            self.ttft.record_between(max(0, ttft - first.slack_ns), ttft, ttft)
        else:
            self.ttft.record_all((ttft,))

    def _add_flow(self, one: RequestResult, response_gaps: ResponseGaps) -> None:
        self.itl.record_all(response_gaps.gaps)
        for low, told, high, n in response_gaps.blurred:
            self.itl.record_between(low, told, high, n)
        self.within.record_all(response_gaps.within)
        self.per_read.record_all(response_gaps.per_read)
        self.uncertain += response_gaps.hidden
        for n, at_most in response_gaps.together:
            self.bounded.record(at_most, n)
        self.pattern.add(one, response_gaps)
        longest, after = response_gaps.longest
        if longest:
            self.longest.record(longest)
        if longest > PAUSE_NS:
            begun = one.reads[0].at_ns - one.intended_ns
            _keep_pause(self.pauses, LongGap(longest, one.number, after, begun))

    def _add_tpot(self, one: RequestResult, block: Block) -> None:
        tokens = one.events if one.tokens is None else one.tokens
        span = one.reads[-1].at_ns - one.reads[0].at_ns
        if tokens > 1 and span >= 0:
            self.tpot.record(span // (tokens - 1))
            block.tpot.record(span // (tokens - 1))

    def _span(self, first_ns: int, last_ns: int) -> None:
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = last_ns if self.last_ns is None else max(self.last_ns, last_ns)

    def merge(self, other: Aggregate) -> None:
        """Add what ``other`` took, as if it had been taken here."""
        if other.first_ns is not None and other.last_ns is not None:
            self._span(other.first_ns, other.last_ns)
        self.back_ns = max(self.back_ns, other.back_ns)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _MERGED:
            getattr(self, name).merge(getattr(other, name))
        self.outcomes.update(other.outcomes)
        self.kinds.update(other.kinds)
        self.statuses.update(other.statuses)
        for kind, said in other.messages.items():
            self._say(kind, said)
        self.blocks += other.blocks
        self.time_buckets += other.time_buckets
        for one in other.slowest:
            _keep(self.slowest, one)
        for pause in other.pauses:
            _keep_pause(self.pauses, pause)


_SUMS = (
    "backwards", "empties", "events", "heartbeats", "tokens", "uncertain", "unstamped",
    "untold_events", "warmup", "without_content",
)  # fmt: skip
_MERGED = (
    "asked_again", "bounded", "e2e", "itl", "late", "longest", "pattern", "per_read", "send_delay",
    "tpot", "ttft", "ttft_from_sent", "within",
)  # fmt: skip


def _keep(kept: list[RequestResult], one: RequestResult) -> None:
    insort(kept, one, key=lambda m: (m.intended_ns - m.ended_ns, m.number, m.worker))
    del kept[SLOWEST:]


def _keep_pause(kept: list[LongGap], pause: LongGap) -> None:
    insort(kept, pause, key=lambda p: (-p.gap_ns, p.number))
    del kept[PAUSES:]
