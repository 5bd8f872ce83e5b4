"""One answer's reads as gaps and bursts, with what is not known about them.

A read that completed one event gives the gap before it exactly, however late it was taken: the
kernel stamped it. A read that completed several bears only the last one's stamp. Where nothing had
been there a moment before (its slack is short beside the time in which so many events usually
come), somebody sent them together. Otherwise this program was late, and they may have come one by
one: those gaps are hidden, and are told within bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from undam.record import ContentRead, RequestResult

# Events that came evenly fill at least half of the time since the read before; those that came
# together fill almost none. A quarter lies between.
_HIDING_SHARE = 4

UNFELT_NS = 100_000
"""Below this nothing is hidden that a figure would show."""

LOOK_NS = 2_000_000
"""A client that has nothing else to do looks each millisecond, and may be woken as late again:
what it had not seen so long before is no lateness, and gets no bound."""

# What moves a gap by less than a thousandth is not worth a bound.
_EXACT_SHARE = 1000

# Reads of one burst: parts of one write, which a network hands on at once. A stream's own gaps
# are seldom ten times shorter than their mean, and segments of a block are never 5 ms apart.
_BURST_SHARE = 10
_BURST_NS = 5_000_000


@dataclass(slots=True)
class Burst:
    """Events that came at one moment.

    Attributes:
        start_ns: when the first of its reads came.
        hidden: this program was late, so it may be a burst of our own making.
    """

    start_ns: int
    events: int
    hidden: bool


@dataclass(slots=True)
class ResponseGaps:
    """What one answer's reads say.

    Attributes:
        gaps: those between reads that are known exactly.
        blurred: others as (least, told, greatest, how many).
        within: distances between reads of one burst.
        together: gaps inside a read whose events were sent together: (how many, at most so long).
        hidden: gaps that this program's lateness hides.
        per_read: events of each read that was not hidden.
        bursts: ``None`` where each read is one of one event.
        back_ns: by how much the clock was set back between two reads, at the most; then nothing
            else is told.
        longest: (gap, content events before it) of the longest gap; a gap of 0 where there is none.
    """

    gaps: list[int] = field(default_factory=list)
    blurred: list[tuple[int, int, int, int]] = field(default_factory=list)
    within: list[int] = field(default_factory=list)
    together: list[tuple[int, int]] = field(default_factory=list)
    hidden: int = 0
    per_read: list[int] = field(default_factory=list)
    bursts: list[Burst] | None = None
    back_ns: int = 0
    longest: tuple[int, int] = (0, 0)


def extract_gaps(one: RequestResult) -> ResponseGaps:
    """Read ``one``, which has content."""
    reads = one.reads
    gaps = [after.at_ns - before.at_ns for before, after in pairwise(reads)]
    response_gaps = ResponseGaps(back_ns=-min(0, *gaps) if gaps else 0)
    if response_gaps.back_ns:
        return response_gaps
    mean = _mean_gap(one)
    limit = min(_BURST_NS, mean // _BURST_SHARE)
    if one.stamped and one.events == len(reads) and min(gaps, default=limit) >= limit:
        response_gaps.gaps, response_gaps.per_read = gaps, [1] * len(reads)
    else:
        _first(response_gaps, one, mean)
        for before, read, gap in zip(reads, reads[1:], gaps, strict=False):
            hides = _gap(response_gaps, read, gap, mean, None if one.stamped else before.slack_ns)
            _burst(response_gaps, read, gap >= limit, hides)
            if gap < limit:
                response_gaps.within.append(gap)
    if gaps:
        longest = max(range(len(gaps)), key=gaps.__getitem__)
        response_gaps.longest = (gaps[longest], sum(read.events for read in reads[: longest + 1]))
    return response_gaps


def _mean_gap(one: RequestResult) -> int:
    """Between events after the first read; of a single read, since the request left."""
    first, last = one.reads[0], one.reads[-1]
    later = one.events - first.events
    if later:
        return (last.at_ns - first.at_ns) // later
    begun = one.intended_ns if one.started_ns is None else one.started_ns
    return max(0, first.at_ns - begun) // first.events


def _is_hiding(read: ContentRead, usual_ns: int) -> bool:
    return read.slack_ns > max(UNFELT_NS, usual_ns // _HIDING_SHARE)


def is_blurred(told_ns: int, by_ns: int, *, stamped: bool) -> bool:
    """Whether a duration that can be off by so much needs bounds."""
    return by_ns > told_ns // _EXACT_SHARE and (by_ns > LOOK_NS or not stamped)


def _first(response_gaps: ResponseGaps, one: RequestResult, mean: int) -> None:
    """The first read has no gap before it, but may have some inside."""
    read = one.reads[0]
    others = read.events - 1
    hides = others > 0 and _is_hiding(read, mean * read.events)
    if hides:
        response_gaps.hidden += others
        response_gaps.blurred.append((0, read.slack_ns // read.events, read.slack_ns, others))
    else:
        response_gaps.per_read.append(read.events)
        if others:
            response_gaps.together.append((others, read.slack_ns))
    response_gaps.bursts = [Burst(read.at_ns, read.events, hides)]


def _gap(
    response_gaps: ResponseGaps, read: ContentRead, gap: int, mean: int, blur: int | None
) -> bool:
    """Take the gaps that ``read`` ended; say whether our lateness hides them.

    Args:
        blur: by how much the read before may have come earlier than told, where it bears no
            kernel stamp; ``None`` where stamps are the kernel's.
    """
    events, slack = read.events, min(read.slack_ns, gap)
    if events == 1 and blur is None:
        response_gaps.gaps.append(gap)
        response_gaps.per_read.append(1)
        return False
    hides = _is_hiding(read, max(gap, mean * events))
    told, later = gap, gap + (blur or 0)
    if hides:
        # Spread over the time in which they can have come, so that their sum stays the gap.
        told = gap - slack * (events - 1) // events
        response_gaps.hidden += events
        if events > 1:
            response_gaps.blurred.append((0, slack // events, slack, events - 1))
    else:
        response_gaps.per_read.append(events)
        if events > 1:
            response_gaps.together.append((events - 1, slack))
    if hides or is_blurred(gap, later - gap + slack, stamped=blur is None):
        response_gaps.blurred.append((gap - slack, told, later, 1))
    else:
        response_gaps.gaps.append(gap)
    return hides


def _burst(response_gaps: ResponseGaps, read: ContentRead, begins: bool, hides: bool) -> None:
    assert response_gaps.bursts is not None
    if begins:
        response_gaps.bursts.append(Burst(read.at_ns, read.events, hides))
    else:
        response_gaps.bursts[-1].events += read.events
        response_gaps.bursts[-1].hidden |= hides
