"""Gaps and bursts in one response, with the uncertainty of each gap.

A read that completed one event gives the gap before it exactly, however late it was read, because
the kernel recorded its arrival. A read that completed several events has only the arrival of the
last. If its slack is short compared with the usual time for that many events, the hop sent them
together. Otherwise the load generator was late, and the events may have arrived one by one: their
gaps are uncertain and are reported as intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from undam.record import ContentRead, RequestResult

# Events at regular intervals take at least half of the time since the previous read, while events
# sent together take almost none. A quarter is between the two.
_UNCERTAIN_SHARE = 4

NEGLIGIBLE_NS = 100_000
"""Smaller uncertainties do not show in any metric."""

POLL_NS = 2_000_000
"""An idle load generator polls every millisecond and may wake up another millisecond late. A slack
up to this value is therefore not lateness, and needs no interval."""

# An error below a thousandth of a gap is negligible, so the gap is reported without an interval.
_EXACT_SHARE = 1000

# The reads of one burst are parts of one write, which the network delivers at once. Gaps between
# tokens are rarely ten times shorter than the mean gap, and the segments of a block are never 5 ms
# apart.
_BURST_SHARE = 10
_BURST_NS = 5_000_000


@dataclass(slots=True)
class ReadBurst:
    """Events that arrived together.

    Attributes:
        start_ns: arrival of its first read.
        uncertain: whether the load generator was late, so that it may have caused the burst itself.
    """

    start_ns: int
    events: int
    uncertain: bool


class GapInterval(NamedTuple):
    """Bounds and estimate of the duration of each of ``n`` gaps."""

    lower_ns: int
    estimate_ns: int
    upper_ns: int
    n: int


@dataclass(slots=True)
class ResponseGaps:
    """Gaps in one response.

    Attributes:
        exact: gaps between reads that are known exactly.
        intervals: gaps between reads that are known only within bounds.
        within_bursts: gaps between the reads of one burst.
        batched: gaps inside reads whose events were sent together, as (count, upper bound in ns).
        uncertain: number of gaps hidden by lateness of the load generator.
        events_per_read: number of events of each read that is not uncertain.
        bursts: ``None`` if each read completed one event and none is part of a burst.
        step_back_ns: largest step back of the clock between two reads. If it is not 0, the other
            fields are empty.
        longest: longest gap, and the number of content events before it; (0, 0) without gaps.
    """

    exact: list[int] = field(default_factory=list)
    intervals: list[GapInterval] = field(default_factory=list)
    within_bursts: list[int] = field(default_factory=list)
    batched: list[tuple[int, int]] = field(default_factory=list)
    uncertain: int = 0
    events_per_read: list[int] = field(default_factory=list)
    bursts: list[ReadBurst] | None = None
    step_back_ns: int = 0
    longest: tuple[int, int] = (0, 0)


def extract_gaps(one: RequestResult) -> ResponseGaps:
    """Return the gaps and bursts in ``one``, which has content."""
    reads = one.reads
    gaps = [after.at_ns - before.at_ns for before, after in pairwise(reads)]
    found = ResponseGaps(step_back_ns=-min(0, *gaps) if gaps else 0)
    if found.step_back_ns:
        return found
    mean = _mean_gap(one)
    limit = min(_BURST_NS, mean // _BURST_SHARE)
    exact = one.stamped and not one.blurred
    if exact and one.events == len(reads) and min(gaps, default=limit) >= limit:
        found.exact, found.events_per_read = gaps, [1] * len(reads)
    else:
        _add_first_read(found, one, mean)
        for before, read, gap in zip(reads, reads[1:], gaps, strict=False):
            blur = None if exact else before.slack_ns
            uncertain = _add_gap(found, read, gap, mean, blur, stamped=one.stamped)
            _add_to_burst(found, read, starts=gap >= limit, uncertain=uncertain)
            if gap < limit:
                found.within_bursts.append(gap)
    if gaps:
        longest = max(range(len(gaps)), key=gaps.__getitem__)
        found.longest = (gaps[longest], sum(read.events for read in reads[: longest + 1]))
    return found


def needs_interval(duration_ns: int, error_ns: int, *, stamped: bool) -> bool:
    """Return whether a duration with this error must be reported as an interval."""
    return error_ns > duration_ns // _EXACT_SHARE and (error_ns > POLL_NS or not stamped)


def _mean_gap(one: RequestResult) -> int:
    """Return the mean gap after the first read; with a single read, the mean since the start."""
    first, last = one.reads[0], one.reads[-1]
    later = one.events - first.events
    if later:
        return (last.at_ns - first.at_ns) // later
    start_ns = one.intended_ns if one.started_ns is None else one.started_ns
    return max(0, first.at_ns - start_ns) // first.events


def _is_uncertain(read: ContentRead, usual_ns: int) -> bool:
    return read.slack_ns > max(NEGLIGIBLE_NS, usual_ns // _UNCERTAIN_SHARE)


def _add_first_read(found: ResponseGaps, one: RequestResult, mean: int) -> None:
    """Add the first read, which has no gap before it but may have gaps inside it."""
    read = one.reads[0]
    others = read.events - 1
    uncertain = others > 0 and _is_uncertain(read, mean * read.events)
    if uncertain:
        found.uncertain += others
        estimate = read.slack_ns // read.events
        found.intervals.append(GapInterval(0, estimate, read.slack_ns, others))
    else:
        found.events_per_read.append(read.events)
        if others:
            found.batched.append((others, read.slack_ns))
    found.bursts = [ReadBurst(read.at_ns, read.events, uncertain)]


def _add_gap(
    found: ResponseGaps, read: ContentRead, gap: int, mean: int, blur: int | None, *, stamped: bool
) -> bool:
    """Add the gap before ``read`` and the gaps inside it; return whether they are uncertain.

    Args:
        blur: how much earlier the read before may have arrived; ``None`` if its arrival is exact.
    """
    events, slack = read.events, min(read.slack_ns, gap)
    if events == 1 and blur is None:
        found.exact.append(gap)
        found.events_per_read.append(1)
        return False
    uncertain = _is_uncertain(read, max(gap, mean * events))
    estimate, upper = gap, gap + (blur or 0)
    if uncertain:
        # The gap is divided over the time in which the events may have arrived. The parts add up to
        # the gap.
        estimate = gap - slack * (events - 1) // events
        found.uncertain += events
        if events > 1:
            found.intervals.append(GapInterval(0, slack // events, slack, events - 1))
    else:
        found.events_per_read.append(events)
        if events > 1:
            found.batched.append((events - 1, slack))
    if uncertain or needs_interval(gap, upper - gap + slack, stamped=stamped):
        found.intervals.append(GapInterval(gap - slack, estimate, upper, 1))
    else:
        found.exact.append(gap)
    return uncertain


def _add_to_burst(found: ResponseGaps, read: ContentRead, *, starts: bool, uncertain: bool) -> None:
    assert found.bursts is not None
    if starts:
        found.bursts.append(ReadBurst(read.at_ns, read.events, uncertain))
    else:
        found.bursts[-1].events += read.events
        found.bursts[-1].uncertain |= uncertain
