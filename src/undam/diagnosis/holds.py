"""Holds: the delay of each event with a known due time.

A beacon stamps each event with its due time. An inner hop shows when the events of the same prompt
arrived there. Both give a hold per event, while the shape gives only the pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from undam.diagnosis.bursts import Burst, find_bursts
from undam.diagnosis.reading import Reading
from undam.diagnosis.shape import Release, Shape, classify_pattern, unknown
from undam.rules import Verdict
from undam.timing import median, quantile

# Delay of a path without a buffering hop on a busy machine. It is half of the smallest known hold
# that a hop causes (one event late at 25 ms per token).
NOISE_NS = 12_000_000

# A stream is held if more than one event in ten is held. A scheduler delays only single events.
_HELD_SHARE = 0.1

# Events that were late together count once, because a single pause of a machine explains them. A
# rule requires at least three occurrences.
_FEW_TIMES = 3

# If no rule is recognised, holds must be well beyond noise. A very busy machine delays everything
# two or three times as much, and TCP then delivers several events at once.
_MUCH = 2.5

# A busy machine may suspend a process for tens of ms. An answer that is due within that time may
# therefore arrive at once without a hold.
_SHORTEST_SPREAD_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Offset between the beacon's clock and ours, and the delay of the path without a hold.

    Args:
        uncertainty_ns: maximum error of ``offset_ns``; 0 on one host.
        path_ns: one-way delay of a short, complete answer; any further delay is a hold.
    """

    offset_ns: int = 0
    uncertainty_ns: int = 0
    path_ns: int = 0

    @property
    def noise_ns(self) -> int:
        """Return the largest delay that counts as noise, which is larger on long paths."""
        return NOISE_NS + self.uncertainty_ns + self.path_ns // 2


@dataclass(frozen=True, slots=True)
class EventHold:
    """Due time and arrival of one event."""

    due_ns: int
    at_ns: int

    @property
    def hold_ns(self) -> int:
        """Return how long the event was held, never below zero."""
        return max(0, self.at_ns - self.due_ns)

    @property
    def early_ns(self) -> int:
        """Return how early the event arrived. Only a wrong clock offset can cause this."""
        return self.due_ns - self.at_ns


def offset_from(
    sent_ns: int, arrived_ns: int, left_ns: int, received_ns: int, *, same_host: bool
) -> ClockOffset:
    """Compute the clock offset from one exchange (RFC 5905, section 8).

    Args:
        same_host: both ends read the same clock, so the offset is zero and the path delay is exact.
    """
    if same_host:
        return ClockOffset(0, 0, max(0, received_ns - left_ns))
    delay = max(0, (received_ns - sent_ns) - (left_ns - arrived_ns))
    offset = ((arrived_ns - sent_ns) + (left_ns - received_ns)) // 2
    return ClockOffset(offset, delay // 2, delay // 2)


def holds_by_beacon(reading: Reading, offset: ClockOffset) -> list[EventHold]:
    """Return the hold of each content event that carries a due time."""
    shift = offset.path_ns - offset.offset_ns
    return [
        EventHold(item.due.due_ns + shift, item.at_ns)
        for item in reading.contents
        if item.due is not None
    ]


def holds_by_inner(inner: Reading, outer: Reading) -> list[EventHold]:
    """Estimate how long each event was held between two hops.

    Event i of ``outer`` is compared with event i of ``inner``, each counted from its own request.
    The estimate is exact only if the model keeps the same pace twice, so callers require
    coincidences that chance does not produce.
    """
    return [
        EventHold(a.at_ns - inner.sent_ns + outer.sent_ns, b.at_ns)
        for a, b in zip(inner.contents, outer.contents, strict=False)
    ]


def classify_holds(reading: Reading, holds: Sequence[EventHold], noise_ns: int = NOISE_NS) -> Shape:
    """Classify a stream by the holds of its events, measured against a beacon."""
    if not holds:
        return unknown("no event carried a due time: is the far end a beacon?")
    limit = max(noise_ns, NOISE_NS)
    if reason := _why_no_clock(reading, holds, limit):
        return unknown(reason)
    held = [item for item in holds if item.hold_ns > limit]
    evidence: dict[str, object] = {"held_events": len(held), "events": len(holds)}
    times = len({item.at_ns for item in held})
    if len(held) <= _HELD_SHARE * len(holds) or (times < _FEW_TIMES and len(held) < len(holds) / 2):
        return Shape(Verdict.STREAMING, evidence=evidence)
    if _released_by_end(reading, holds, limit):
        if holds[-1].due_ns - holds[0].due_ns < _SHORTEST_SPREAD_NS:
            return unknown("the whole answer was due too soon; ask for a longer one", **evidence)
        return Shape(Verdict.HELD_TO_END, Release.END, evidence=evidence)
    if is_one_late(holds, limit):
        return Shape(Verdict.LATE, Release.NEXT, evidence=evidence)
    pattern = classify_pattern(reading)
    if pattern.verdict is Verdict.BATCHED:
        evidence = {**pattern.evidence, **evidence}
        if pattern.release is not Release.UNCLEAR:
            return replace(pattern, evidence=evidence)
    return _classify_by_holds(reading, holds, limit, evidence)


def _why_no_clock(reading: Reading, holds: Sequence[EventHold], limit: int) -> str:
    """Return why the clock offset cannot be right, or an empty string."""
    if abs(reading.exchange.step_ns) > limit:
        return "this machine's clock was set during the stream: run the check again"
    early = [item for item in holds if item.early_ns > limit]
    if len(early) > _HELD_SHARE * len(holds):
        return (
            f"{len(early)} of {len(holds)} events arrived before they were due, so the clocks "
            f"differ by more than was measured: run the check again"
        )
    return ""


def _released_by_end(reading: Reading, holds: Sequence[EventHold], limit: int) -> bool:
    """Return whether all events arrived at the end of the response, although due one by one."""
    first, last = holds[0], holds[-1]
    spread = last.due_ns - first.due_ns
    together = last.at_ns - first.at_ns
    return (
        spread > 2 * limit
        and together <= max(limit, spread // 20)
        and reading.exchange.ended_ns - last.at_ns <= max(limit, spread // 5)
    )


def is_one_late(holds: Sequence[EventHold], noise_ns: int = NOISE_NS) -> bool:
    """Return whether each event arrived only when the next one was due.

    A compressor with a delayed flush does this: its output leaves with the next write. Events due
    together (from a speculative decoder) prove nothing and are left out.
    """
    steps = [
        (this.at_ns - this.due_ns, after.due_ns - this.due_ns, this.at_ns - after.due_ns)
        for this, after in pairwise(holds)
        if after.due_ns - this.due_ns > noise_ns
    ]
    if len(steps) < 4:
        return False
    exact = [
        hold
        for hold, gap, over in steps
        if hold > 0.7 * gap and abs(over) <= max(noise_ns / 2, 0.05 * gap)
    ]
    return len(exact) >= 0.8 * len(steps)


def is_one_late_by_inner(holds: Sequence[EventHold]) -> bool:
    """Return whether ``is_one_late`` is true for two answers whose TTFT may differ.

    With even gaps, an answer that began one gap later looks the same. Therefore either the gaps and
    the holds must vary together, or the last event must have arrived together with the previous
    one, because the end of the response releases it.
    """
    if not is_one_late(holds):
        return False
    *_, before, last = holds
    gap = last.due_ns - before.due_ns
    if gap > NOISE_NS and last.at_ns - before.at_ns < gap / 4:
        return True
    kept = [item.hold_ns for item in holds]
    gaps = [b.due_ns - a.due_ns for a, b in pairwise(holds)]
    # If the answer had only started later, all events would be late by the same amount.
    same, middle = median(kept), NOISE_NS / 2
    strays = median([abs(hold - same) for hold in kept])
    misses = median([abs(hold - gap) for hold, gap in zip(kept, gaps, strict=False)])
    return strays > max(middle, 4 * misses)


def _classify_by_holds(
    reading: Reading, holds: Sequence[EventHold], limit: int, evidence: dict[str, object]
) -> Shape:
    """Classify a held stream from its holds, if its arrivals alone do not prove a pattern.

    A timer that starts with the first held byte holds the first event of each burst equally long.
    """
    bursts = find_bursts(reading)
    starts = {burst.start_ns for burst in bursts[:-1]}
    heads: dict[int, int] = {}
    for item in holds:
        if item.at_ns in starts:
            heads.setdefault(item.at_ns, item.hold_ns)
    kept = sorted(heads.values())
    if len(kept) >= 4:
        middle = quantile(kept, 0.5)
        if middle > limit and quantile(kept, 0.9) - quantile(kept, 0.1) <= 0.15 * middle:
            return Shape(Verdict.BATCHED, Release.TIMER, None, middle / 1e6, evidence)
    together = sum(burst.events for burst in bursts if burst.events > 1)
    alone = together < sum(burst.events for burst in bursts) / 2
    if alone or quantile(sorted(item.hold_ns for item in holds), 0.9) <= _MUCH * limit:
        return unknown(
            "events arrived slightly late, or late one by one, without a rule; a jittery path or a "
            "busy machine causes that too: run the check again, or from an idle host",
            **evidence,
        )
    sizes = [burst.size_bytes for burst in bursts[1:-1]]
    even_sizes = len(sizes) >= 3 and max(sizes) - min(sizes) <= max(
        b.last_event_bytes for b in bursts
    )
    if even_sizes and not _are_regular(bursts[1:-1], holds):
        block = int(median(sizes))
        return Shape(Verdict.BATCHED, Release.SIZE, block, None, {**evidence, "block_bytes": block})
    return Shape(Verdict.BATCHED, Release.UNCLEAR, None, None, evidence)


def _are_regular(bursts: Sequence[Burst], holds: Sequence[EventHold]) -> bool:
    """Return whether a timer explains bursts of equal size as well as a block buffer does.

    A timer turns a steady source into bursts of equal size. A block buffer turns it into bursts at
    equal intervals. The caller has already recognised blocks that end in the middle of an event.
    """
    periods = [after.start_ns - before.start_ns for before, after in pairwise(bursts)]
    gap = median([after.due_ns - before.due_ns for before, after in pairwise(holds)])
    return max(periods) - min(periods) <= gap
