"""Aggregate of a load test: turns request results into histograms and counts.

Merging is exact: the merged aggregates of several workers equal the aggregate of one that measured
all requests. Memory is bounded by the resolution of the histograms, not by the number of requests.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from undam.metrics.gaps import ResponseGaps, extract_gaps, needs_interval
from undam.metrics.interval_histogram import IntervalHistogram
from undam.metrics.merging import (
    COUNTS,
    EARLIEST,
    LATEST,
    MAXIMUM,
    MERGED,
    SUM,
    merge_fields,
    merged_by,
)
from undam.metrics.nagle import nagle_delay_ns
from undam.metrics.pattern import BurstPattern
from undam.metrics.sections import Sections
from undam.metrics.time_buckets import Block, LoadBucket, TimeBucket
from undam.record import Outcome, RequestResult
from undam.record.request_result import CANCELLED, IntegrityCounts
from undam.timing import Histogram

SLOWEST = 20
"""Number of slowest requests kept for the waterfall."""

LONG_GAPS = 20
"""Number of longest gaps kept with their position."""

TIMEOUT = "timeout"
"""Kind of failure of a request that exceeded the time limit of this program."""

MIN_STALL_NS = 250_000_000
"""Shorter gaps are never stalls: readers do not notice them."""

# Resolution: 0.003 % for values recorded once per request, 0.012 % for gaps. For typical values,
# both are far below 0.1 ms.
_FINE = partial(Histogram, bits=16)
_FINE_GAPS = partial(Histogram, bits=14)
# Resolution 0.1 %, for values that are only compared with a limit.
_ROUGH = partial(Histogram, bits=11)

# Enough blocks for a confidence interval, but few enough to be saved in a result.
_BLOCKS = 64
_TIME_BUCKETS = 200
# 2 ** 20 ns is about a millisecond, the width of the narrowest column in a timeline.
_TIME_BUCKET_SHIFT = 20


class LongGap(NamedTuple):
    """Long gap, with its request number, position and time."""

    gap_ns: int
    number: int
    after_events: int
    at_ns: int


Messages = dict[str, tuple[int, str]]


def _first_messages(mine: Messages, theirs: Messages) -> Messages:
    for kind, numbered in theirs.items():
        mine[kind] = min(numbered, mine.get(kind, numbered))
    return mine


def _slowest(mine: list[RequestResult], theirs: Iterable[RequestResult]) -> list[RequestResult]:
    for one in theirs:
        insort(mine, one, key=lambda m: (m.intended_ns - m.ended_ns, m.number, m.worker))
        del mine[SLOWEST:]
    return mine


def _longest(mine: list[LongGap], theirs: Iterable[LongGap]) -> list[LongGap]:
    for gap in theirs:
        insort(mine, gap, key=lambda p: (-p.gap_ns, p.number))
        del mine[LONG_GAPS:]
    return mine


@dataclass(slots=True, eq=False)
class Aggregate:
    """Data from which all metrics of a run are computed; times are in ns.

    Warm-up and abandoned requests are counted and excluded from everything but the load. Failed
    requests are part of the outcomes, statuses and send delay; incomplete ones also of TTFT and
    ITL. For a request that timed out before its first content, the TTFT is the time that it waited,
    a lower bound of the true TTFT. The same applies to the last gap of one that timed out later.

    Attributes:
        cancelled: abandoned requests that the load test cancelled on purpose.
        first_ns: intended start of the first request.
        last_ns: end of the last request.
        load: all requests over time, including warm-up and abandoned ones.
        load_first_ns: first intended start of these requests.
        load_last_ns: last intended start of these requests.
        outcomes: number of requests by outcome.
        failure_kinds: number of failures by outcome and kind.
        failure_statuses: number of failures by status of their response.
        failure_messages: for each kind of failure, the first one in the plan with its message.
        retry_after: requested waiting times (``Retry-After``).
        events: content events of all responses.
        events_without_usage: content events of the responses whose server reported no usage.
        tokens: tokens of the responses whose server reported usage.
        streamed_tokens: these tokens without reasoning that was not streamed.
        prompt_tokens: tokens of the prompts for which the server reported cached tokens.
        cached_tokens: tokens of these prompts that the server took from its prefix cache.
        reasoning_tokens: completion tokens spent on reasoning.
        input_tokens: tokens of all prompts for which the server reported usage.
        nagle_answers: responses whose first content has the pattern of `nagle_delay_ns`.
        nagle_ns: sum of their delays.
        checked_answers: responses whose events have numbers.
        damaged_answers: responses with a fault in their content.
        content_events: events of the responses whose content was analyzed.
        content_faults: number of faults in the content by kind and evidence.
        content_places: for each of these kinds, the first request in the plan, and the place.
        without_content: complete responses without content.
        silent: incomplete responses without content.
        timed_out: requests that timed out before their first content; part of the TTFT.
        timed_out_gaps: requests that timed out after content; their last gap is part of the ITL.
        unstamped: requests with a read that has no kernel timestamp.
        clock_steps_back: requests during which the clock was set back.
        max_step_back_ns: largest step back of the clock.
        uncertain_gaps: gaps hidden by lateness of the load generator.
        batched_gaps: upper bounds of gaps inside reads whose events the hop sent together.
        within_bursts: gaps between the reads of one burst.
        longest_gaps: longest gap of each response.
        ttft_from_sent: TTFT measured from the actual start.
        first_answer: time to the first content that is not reasoning.
        read_lateness: how long each read waited for the load generator.
        slowest: slowest requests, slowest first.
        long_gaps: longest gaps, longest first.
    """

    warmup: int = field(default=0, metadata=SUM)
    cancelled: int = field(default=0, metadata=SUM)
    first_ns: int | None = field(default=None, metadata=EARLIEST)
    last_ns: int | None = field(default=None, metadata=LATEST)
    outcomes: Counter[Outcome] = field(default_factory=Counter, metadata=COUNTS)
    failure_kinds: Counter[tuple[Outcome, str]] = field(default_factory=Counter, metadata=COUNTS)
    failure_statuses: Counter[int] = field(default_factory=Counter, metadata=COUNTS)
    failure_messages: Messages = field(default_factory=dict, metadata=merged_by(_first_messages))
    retry_after: Histogram = field(default_factory=_ROUGH, metadata=MERGED)
    events: int = field(default=0, metadata=SUM)
    events_without_usage: int = field(default=0, metadata=SUM)
    tokens: int = field(default=0, metadata=SUM)
    streamed_tokens: int = field(default=0, metadata=SUM)
    empties: int = field(default=0, metadata=SUM)
    nagle_answers: int = field(default=0, metadata=SUM)
    nagle_ns: int = field(default=0, metadata=SUM)
    heartbeats: int = field(default=0, metadata=SUM)
    load: Sections[LoadBucket] = field(
        default_factory=lambda: Sections(LoadBucket, most=_TIME_BUCKETS, shift=_TIME_BUCKET_SHIFT),
        metadata=MERGED,
    )
    load_first_ns: int | None = field(default=None, metadata=EARLIEST)
    load_last_ns: int | None = field(default=None, metadata=LATEST)
    prompt_tokens: int = field(default=0, metadata=SUM)
    cached_tokens: int = field(default=0, metadata=SUM)
    reasoning_tokens: int = field(default=0, metadata=SUM)
    input_tokens: int = field(default=0, metadata=SUM)
    checked_answers: int = field(default=0, metadata=SUM)
    damaged_answers: int = field(default=0, metadata=SUM)
    content_events: int = field(default=0, metadata=SUM)
    content_faults: Counter[tuple[str, str]] = field(default_factory=Counter, metadata=COUNTS)
    content_places: Messages = field(default_factory=dict, metadata=merged_by(_first_messages))
    without_content: int = field(default=0, metadata=SUM)
    silent: int = field(default=0, metadata=SUM)
    timed_out: int = field(default=0, metadata=SUM)
    timed_out_gaps: int = field(default=0, metadata=SUM)
    unstamped: int = field(default=0, metadata=SUM)
    clock_steps_back: int = field(default=0, metadata=SUM)
    max_step_back_ns: int = field(default=0, metadata=MAXIMUM)
    uncertain_gaps: int = field(default=0, metadata=SUM)
    ttft: IntervalHistogram = field(
        default_factory=partial(IntervalHistogram, bits=16), metadata=MERGED
    )
    itl: IntervalHistogram = field(
        default_factory=partial(IntervalHistogram, bits=14), metadata=MERGED
    )
    tpot: Histogram = field(default_factory=_FINE, metadata=MERGED)
    e2e: Histogram = field(default_factory=_FINE, metadata=MERGED)
    send_delay: Histogram = field(default_factory=_FINE, metadata=MERGED)
    ttft_from_sent: Histogram = field(default_factory=_FINE, metadata=MERGED)
    first_answer: Histogram = field(default_factory=_FINE, metadata=MERGED)
    within_bursts: Histogram = field(default_factory=_FINE_GAPS, metadata=MERGED)
    batched_gaps: Histogram = field(default_factory=_ROUGH, metadata=MERGED)
    read_lateness: Histogram = field(default_factory=_ROUGH, metadata=MERGED)
    longest_gaps: Histogram = field(default_factory=_FINE_GAPS, metadata=MERGED)
    events_per_read: Histogram = field(default_factory=_ROUGH, metadata=MERGED)
    pattern: BurstPattern = field(default_factory=BurstPattern, metadata=MERGED)
    blocks: Sections[Block] = field(
        default_factory=lambda: Sections(Block, most=_BLOCKS), metadata=MERGED
    )
    time_buckets: Sections[TimeBucket] = field(
        default_factory=lambda: Sections(TimeBucket, most=_TIME_BUCKETS, shift=_TIME_BUCKET_SHIFT),
        metadata=MERGED,
    )
    slowest: list[RequestResult] = field(default_factory=list, metadata=merged_by(_slowest))
    long_gaps: list[LongGap] = field(default_factory=list, metadata=merged_by(_longest))

    @property
    def requests(self) -> int:
        """Number of complete, incomplete and failed requests."""
        return self.outcomes.total() - self.outcomes[Outcome.ABANDONED]

    @property
    def duration_ns(self) -> int:
        """Time from the first intended start to the last end; 0 if there are no requests."""
        if self.first_ns is None or self.last_ns is None:
            return 0
        return max(0, self.last_ns - self.first_ns)

    def merge(self, other: Aggregate) -> None:
        """Add the requests of ``other``."""
        merge_fields(self, other)

    def add_all(self, results: Iterable[RequestResult]) -> None:
        """Add several requests."""
        for one in results:
            self.add(one)

    def add(self, one: RequestResult) -> None:
        """Add one request; the order of requests does not matter."""
        self._add_load(one)
        if one.warmup:
            self.warmup += 1
            return
        self.outcomes[one.outcome] += 1
        if one.outcome is Outcome.ABANDONED:
            self.cancelled += one.kind == CANCELLED
            return
        self._extend_duration(one.intended_ns, one.ended_ns)
        block, failed = self.blocks.at(one.number), one.outcome is not Outcome.COMPLETE
        block.requests += 1
        block.failed += failed
        self.time_buckets.at(one.intended_ns).started += 1
        bucket = self.time_buckets.at(one.ended_ns)
        bucket.ended += 1
        bucket.failed += failed
        if one.send_delay_ns is not None:
            self.send_delay.record(one.send_delay_ns)
        if failed:
            self._add_failure(one)
            if one.kind == TIMEOUT and not one.reads:
                self._add_timeout(one, block)
        if one.outcome is not Outcome.ERROR:
            self._add_response(one, block)

    def _add_load(self, one: RequestResult) -> None:
        start_ns, end_ns = one.intended_ns, max(one.intended_ns, one.ended_ns)
        first, last = self.load_first_ns, self.load_last_ns
        self.load_first_ns = start_ns if first is None else min(first, start_ns)
        self.load_last_ns = start_ns if last is None else max(last, start_ns)
        work = None
        if one.outcome is Outcome.COMPLETE:
            events = one.events
            work = (events if one.tokens is None else one.tokens, events)
        begun = self.load.at(start_ns)
        begun.begun += 1
        begun.begun_sum_ns += start_ns
        begun.stay.record(end_ns - start_ns)
        if work is not None:
            begun.served_begun.add(*work)
        ended = self.load.at(end_ns)
        ended.ended += 1
        ended.ended_sum_ns += end_ns
        if work is not None:
            ended.served_ended.add(*work)

    def _extend_duration(self, first_ns: int, last_ns: int) -> None:
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = last_ns if self.last_ns is None else max(self.last_ns, last_ns)

    def _add_failure(self, one: RequestResult) -> None:
        self.failure_kinds[one.outcome, one.kind] += 1
        if one.status is not None:
            self.failure_statuses[one.status] += 1
        if one.retry_after_s is not None:
            self.retry_after.record(max(0, round(one.retry_after_s * 1e9)))
        _first_messages(self.failure_messages, {one.kind: (one.number, one.message)})

    def _add_timeout(self, one: RequestResult, block: Block) -> None:
        """Record the waiting time of a request that timed out as a lower bound of its TTFT."""
        waited = max(0, one.ended_ns - one.intended_ns)
        self.timed_out += 1
        self.ttft.record_all((waited,))
        self.ttft_from_sent.record(max(0, waited - (one.send_delay_ns or 0)))
        block.ttft.record(waited)
        self.time_buckets.at(one.intended_ns).ttft.record(waited)

    def _add_response(self, one: RequestResult, block: Block) -> None:
        self.empties += one.empties
        self.heartbeats += one.heartbeats
        self.unstamped += not one.stamped
        complete = one.outcome is Outcome.COMPLETE
        if one.tokens is None:
            self.events_without_usage += one.events
        else:
            self.tokens += one.tokens
            self.streamed_tokens += one.streamed_tokens
        self._add_usage(one)
        if one.integrity is not None:
            self._add_integrity(one.number, one.integrity)
        if one.reads:
            self._add_reads(one, block)
        elif complete:
            self.without_content += 1
        else:
            self.silent += 1
        if complete and one.ended_ns >= one.intended_ns:
            self.e2e.record(one.ended_ns - one.intended_ns)
            block.e2e.record(one.ended_ns - one.intended_ns)
        _slowest(self.slowest, (one,))

    def _add_integrity(self, number: int, counts: IntegrityCounts) -> None:
        faults = counts.faults
        self.checked_answers += counts.evidence != "events"
        self.damaged_answers += bool(faults)
        self.content_events += counts.events
        self.content_faults.update({(kind, counts.evidence): n for kind, n in faults.items()})
        _first_messages(self.content_places, {k: (number, place) for k, place in counts.first})

    def _add_usage(self, one: RequestResult) -> None:
        prompt = one.prompt_tokens or 0
        self.input_tokens += prompt
        self.reasoning_tokens += one.reasoning_tokens or 0
        if one.cached_tokens is not None:
            self.prompt_tokens += prompt
            self.cached_tokens += min(one.cached_tokens, prompt)

    def _add_reads(self, one: RequestResult, block: Block) -> None:
        self.events += one.events
        if (delay_ns := nagle_delay_ns(one)) is not None:
            self.nagle_answers += 1
            self.nagle_ns += delay_ns
        self.read_lateness.record_all([read.late_ns for read in one.reads])
        gaps = extract_gaps(one)
        if one.kind == TIMEOUT and one.outcome is Outcome.INCOMPLETE:
            self._add_last_wait(one, gaps)
        step_back_ns = max(gaps.step_back_ns, one.intended_ns - one.reads[0].at_ns)
        self.clock_steps_back += step_back_ns > 0
        self.max_step_back_ns = max(self.max_step_back_ns, step_back_ns)
        self._add_ttft(one, block)
        self._add_gaps(one, gaps)
        block.itl.record_all(gaps.exact)
        for interval in gaps.intervals:
            block.itl.record(interval.estimate_ns, interval.n)
        if one.outcome is Outcome.COMPLETE:
            self._add_tpot(one, block)
        for read in one.reads:
            bucket = self.time_buckets.at(read.at_ns)
            bucket.events += read.events
            bucket.late_ns = max(bucket.late_ns, read.late_ns)

    def _add_last_wait(self, one: RequestResult, gaps: ResponseGaps) -> None:
        """Add the time from the last content to the timeout, a lower bound of the next gap."""
        waited = one.ended_ns - one.reads[-1].at_ns
        if waited < 0 or gaps.step_back_ns:
            return
        self.timed_out_gaps += 1
        gaps.exact = [*gaps.exact, waited]
        if waited > gaps.longest[0]:
            gaps.longest = (waited, one.events)

    def _add_ttft(self, one: RequestResult, block: Block) -> None:
        first = one.reads[0]
        ttft = first.at_ns - one.intended_ns
        if ttft < 0:
            return
        block.ttft.record(ttft)
        self.time_buckets.at(one.intended_ns).ttft.record(ttft)
        self.ttft_from_sent.record(max(0, ttft - (one.send_delay_ns or 0)))
        inexact = first.events > 1 or not one.stamped or one.blurred
        if inexact and needs_interval(ttft, first.slack_ns, stamped=one.stamped):
            self.ttft.record_interval(max(0, ttft - first.slack_ns), ttft, ttft)
        else:
            self.ttft.record_all((ttft,))
        if one.answer_ns is not None:
            self.first_answer.record(max(0, one.answer_ns - one.intended_ns))

    def _add_gaps(self, one: RequestResult, gaps: ResponseGaps) -> None:
        self.itl.record_all(gaps.exact)
        for lower, estimate, upper, count in gaps.intervals:
            self.itl.record_interval(lower, estimate, upper, count)
        self.within_bursts.record_all(gaps.within_bursts)
        self.events_per_read.record_all(gaps.events_per_read)
        self.uncertain_gaps += gaps.uncertain
        for count, at_most_ns in gaps.batched:
            self.batched_gaps.record(at_most_ns, count)
        self.pattern.add(one, gaps)
        longest_ns, after = gaps.longest
        if longest_ns:
            self.longest_gaps.record(longest_ns)
        if longest_ns > MIN_STALL_NS:
            at_ns = one.reads[0].at_ns - one.intended_ns
            _longest(self.long_gaps, (LongGap(longest_ns, one.number, after, at_ns),))

    def _add_tpot(self, one: RequestResult, block: Block) -> None:
        tpot = one.tpot_ns
        if tpot is not None:
            self.tpot.record(tpot)
            block.tpot.record(tpot)
