"""Exact judgement: how long each event was kept, where its due time is known.

A beacon tells when it meant to send each event; an inner hop tells what the same prompt looked
like further in. Both give a hold per event, and the shape only names its pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from undam.diagnosis.bursts import find_bursts
from undam.diagnosis.reading import Reading
from undam.diagnosis.shape import Release, Shape, judge_pattern, unknown
from undam.rules import Verdict
from undam.timing import median, quantile

# What a path without any dam shows on a busy machine; half of the smallest hold known to be made
# on purpose (a hop that is one event late at 25 ms a token).
NOISE_NS = 12_000_000

# A stream is held when more than one event in ten is: a single late one is a scheduler's doing.
_HELD_SHARE = 0.1

# Events that were late together are late once, by one pause of a machine; a rule shows from the
# third time on.
_FEW_TIMES = 3

# Without any rule to tell, holds must be well beyond noise: a machine that is busier than most
# delays everything by two or three times as much, and TCP then hands over several at once.
_MUCH = 2.5

# A busy machine stops a program for some tens of ms; an answer that was due within less proves
# nothing when it comes at once.
_SHORTEST_SPREAD_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Offset:
    """The far end's clock minus ours, and how long an answer takes that nobody holds.

    Args:
        uncertainty_ns: the true offset lies within this of ``offset_ns``; 0 on one host.
        path_ns: the way back of a short, complete answer; what is beyond it is a hold.
    """

    offset_ns: int = 0
    uncertainty_ns: int = 0
    path_ns: int = 0

    @property
    def noise_ns(self) -> int:
        """What is no hold yet: a long path jitters by a good part of its own length."""
        return NOISE_NS + self.uncertainty_ns + self.path_ns // 2


@dataclass(frozen=True, slots=True)
class Held:
    """One event with the time for which it was kept on its way."""

    due_ns: int
    at_ns: int

    @property
    def hold_ns(self) -> int:
        """Never below zero: an event cannot come before it left."""
        return max(0, self.at_ns - self.due_ns)

    @property
    def early_ns(self) -> int:
        """How much sooner it came than it could have, which only a wrong clock explains."""
        return self.due_ns - self.at_ns


def offset_from(
    sent_ns: int, arrived_ns: int, left_ns: int, received_ns: int, *, same_host: bool
) -> Offset:
    """Judge one question and its answer (RFC 5905, 8: the offset, and half the delay).

    Args:
        same_host: both ends read the same clock, so the offset is zero and the path is exact.
    """
    if same_host:
        return Offset(0, 0, max(0, received_ns - left_ns))
    delay = max(0, (received_ns - sent_ns) - (left_ns - arrived_ns))
    offset = ((arrived_ns - sent_ns) + (left_ns - received_ns)) // 2
    return Offset(offset, delay // 2, delay // 2)


def holds_by_beacon(reading: Reading, offset: Offset) -> list[Held]:
    """Each content event that carries a due time: when it could have been here, and when it was."""
    shift = offset.path_ns - offset.offset_ns
    return [
        Held(item.due.due_ns + shift, item.at_ns)
        for item in reading.contents
        if item.due is not None
    ]


def holds_by_inner(inner: Reading, outer: Reading) -> list[Held]:
    """Each content event of ``outer``, as if it had been due when ``inner`` showed it.

    Times count from each request's own start, so this is exact only for a model that keeps the
    same pace twice; the judgement below asks for coincidences that chance does not give.
    """
    return [
        Held(a.at_ns - inner.sent_ns + outer.sent_ns, b.at_ns)
        for a, b in zip(inner.contents, outer.contents, strict=False)
    ]


def judge_holds(reading: Reading, holds: Sequence[Held], noise_ns: int = NOISE_NS) -> Shape:
    """Judge a stream by what a beacon told of each event."""
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
    pattern = judge_pattern(reading)
    if pattern.verdict is Verdict.BATCHED:
        evidence = {**pattern.evidence, **evidence}
        if pattern.release is not Release.UNCLEAR:
            return replace(pattern, evidence=evidence)
    return _judge_small(reading, holds, limit, evidence)


def _why_no_clock(reading: Reading, holds: Sequence[Held], limit: int) -> str:
    """The reason, where the two clocks do not fit together; else nothing."""
    if abs(reading.exchange.step_ns) > limit:
        return "this machine's clock was set during the stream: run the check again"
    early = [item for item in holds if item.early_ns > limit]
    if len(early) > _HELD_SHARE * len(holds):
        return (
            f"{len(early)} of {len(holds)} events came before they were due, so the clocks differ "
            f"more than was measured: run the check again"
        )
    return ""


def _released_by_end(reading: Reading, holds: Sequence[Held], limit: int) -> bool:
    """All came in one burst, the last hardly held, though they were due over a longer time."""
    first, last = holds[0], holds[-1]
    spread = last.due_ns - first.due_ns
    together = last.at_ns - first.at_ns
    return (
        spread > 2 * limit
        and together <= max(limit, spread // 20)
        and reading.exchange.ended_ns - last.at_ns <= max(limit, spread // 5)
    )


def is_one_late(holds: Sequence[Held], noise_ns: int = NOISE_NS) -> bool:
    """Whether each event came when the next one was due, and not before.

    A hop that compresses with a delayed flush does this: what it wrote leaves with the next write.
    Events due together (a speculative decoder's) say nothing and are left out.
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


def is_one_late_by_inner(holds: Sequence[Held]) -> bool:
    """Whether ``is_one_late`` holds for two answers whose first tokens may have taken unequal time.

    An answer that began one gap later looks the same, where the gaps are even. So either the gaps
    must vary and the holds with them, or the last event must have come with the one before it, as
    the end of the response lets it go.
    """
    if not is_one_late(holds):
        return False
    *_, before, last = holds
    gap = last.due_ns - before.due_ns
    if gap > NOISE_NS and last.at_ns - before.at_ns < gap / 4:
        return True
    kept = [item.hold_ns for item in holds]
    gaps = [b.due_ns - a.due_ns for a, b in pairwise(holds)]
    # Had the answer only begun later, each event would be late by the same time.
    same, middle = median(kept), NOISE_NS / 2
    strays = median([abs(hold - same) for hold in kept])
    misses = median([abs(hold - gap) for hold, gap in zip(kept, gaps, strict=False)])
    return strays > max(middle, 4 * misses)


def _judge_small(
    reading: Reading, holds: Sequence[Held], limit: int, evidence: dict[str, object]
) -> Shape:
    """Held, but in a pattern that arrivals alone do not prove: the holds themselves decide.

    A timer that starts with the first held byte keeps the first event of each burst equally long.
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
            "events came late by a little, or one by one, and by no rule: a jittery path or a busy "
            "machine does that, too; run the check again, or from an idle host",
            **evidence,
        )
    sizes = [burst.size_bytes for burst in bursts[1:-1]]
    if len(sizes) >= 3 and max(sizes) - min(sizes) <= max(b.last_event_bytes for b in bursts):
        block = int(median(sizes))
        return Shape(Verdict.BATCHED, Release.SIZE, block, None, {**evidence, "block_bytes": block})
    return Shape(Verdict.BATCHED, Release.UNCLEAR, None, None, evidence)
