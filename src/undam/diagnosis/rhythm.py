"""Rhythm of bursts of whole events, and its cause: the steps of an engine, or a hop's buffer.

A speculative decoder, multi-step scheduling, a diffusion model and the tick of an event loop emit
several events at a time, at regular times. A hop with a timer or a buffer does the same. The two
differ in four ways:

- The end of a response releases what a hop holds, so the last burst arrives early. The last step of
  an engine takes as long as the others.
- A hop passes on what its source emitted, so the number of events follows the time between bursts.
- The sizes of steps may vary at will; a source that is read at even times gives even sizes.
- Some engines report their speculation in the events themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from statistics import correlation, fmean, pvariance

from undam.apis.meaning import count, mapping
from undam.diagnosis.bursts import Burst
from undam.diagnosis.reading import Reading
from undam.timing import median, quantile

# The periods of a timer are even: they differ by at most one gap of the source.
_EVEN_SPREAD = 0.25
# Minimum number of bursts for any statement about the rhythm.
_FEW = 3
_ENOUGH = 6
# The last content and the end of the response count as one arrival within this time.
_END_NS = 25_000_000
# Maximum variance of counts relative to their mean. Exponentially distributed gaps give 1.
_VARIED = 2.5
# Clocks and schedulers shift the time of a burst by up to this much.
_NOISE_NS = 2_000_000


class Cause(StrEnum):
    """Cause of bursts of whole events."""

    HOP = "hop"
    ENGINE = "engine"
    OPEN = "open"
    """The evidence fits an engine as well as a hop."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Sizes and times of the bursts of one stream.

    Args:
        counts: events of each burst but the first and the last.
        steps_ns: time from the previous burst to each of them.
        last_count: events of the last burst.
        last_ns: time from the previous burst to the last one.
        after_ns: time from the last burst to the end of the response.
        reported_step: mean tokens per step, if the engine reports its drafts; otherwise 0.
    """

    counts: tuple[int, ...]
    steps_ns: tuple[int, ...]
    last_count: int
    last_ns: int
    after_ns: int
    reported_step: float = 0.0

    @property
    def period_ns(self) -> float:
        """Return the median time between bursts, or 0 if there are fewer than three."""
        return median(self.steps_ns) if self.steps_ns else 0.0

    @property
    def spread_ns(self) -> float:
        """Return the range of the times between bursts, without outliers."""
        ordered = sorted(self.steps_ns)
        return quantile(ordered, 0.9) - quantile(ordered, 0.1)

    @property
    def is_even(self) -> bool:
        """Return whether the bursts arrive at even intervals."""
        return len(self.steps_ns) >= _FEW and self.spread_ns <= _EVEN_SPREAD * self.period_ns

    @property
    def gap_ns(self) -> float:
        """Return the mean time per event in ns."""
        return sum(self.steps_ns) / max(1, sum(self.counts))

    @property
    def is_reported(self) -> bool:
        """Return whether the steps that the engine reports explain the bursts."""
        mean = fmean(self.counts) if self.counts else 0.0
        return 0 < mean <= 2 * self.reported_step

    @property
    def dispersion(self) -> float:
        """Return the variance of the counts relative to their mean."""
        return pvariance(self.counts) / max(1.0, fmean(self.counts)) if self.counts else 0.0


def rhythm_of(reading: Reading, bursts: Sequence[Burst]) -> Rhythm:
    """Return the rhythm of at least two bursts."""
    steps = [after.start_ns - before.start_ns for before, after in pairwise(bursts)]
    return Rhythm(
        counts=tuple(burst.events for burst in bursts[1:-1]),
        steps_ns=tuple(steps[:-1]),
        last_count=bursts[-1].events,
        last_ns=steps[-1],
        after_ns=reading.exchange.ended_ns - bursts[-1].end_ns,
        reported_step=_reported_step(reading),
    )


def cause_of(rhythm: Rhythm, *, far: bool = False) -> Cause:
    """Return the cause of bursts of whole events.

    Args:
        far: whether the path is long enough to move the times of bursts.
    """
    if len(rhythm.counts) < _FEW:
        return Cause.OPEN
    if rhythm.is_even:
        by_hop = ends_early(rhythm) or _samples_even_source(rhythm.counts)
        by_engine = ends_late(rhythm) or _is_varied(rhythm) or (not far and _is_wide(rhythm))
    else:
        by_hop = _follows_pace(rhythm)
        by_engine = not by_hop and (ends_late(rhythm) or _ignores_pace(rhythm))
    if by_hop == by_engine:
        return Cause.OPEN
    return Cause.HOP if by_hop else Cause.ENGINE


def ends_early(rhythm: Rhythm) -> bool:
    """Return whether the last burst was released by the end of the response.

    Its events are then as many as the source emits in the shorter time.
    """
    if len(rhythm.steps_ns) < _FEW or not _ends_with_content(rhythm):
        return False
    expected, gap = rhythm.last_count * rhythm.gap_ns, rhythm.gap_ns
    return (
        rhythm.last_ns < 0.75 * quantile(sorted(rhythm.steps_ns), 0.1)
        and 0.5 * expected - gap <= rhythm.last_ns <= 1.5 * expected + 1.5 * gap
    )


def ends_late(rhythm: Rhythm) -> bool:
    """Return whether the last burst has few events but took as long as the others."""
    return (
        len(rhythm.steps_ns) >= _FEW
        and _ends_with_content(rhythm)
        and rhythm.last_ns >= 0.85 * rhythm.period_ns
        and rhythm.last_count <= 0.6 * median(rhythm.counts)
    )


def _ends_with_content(rhythm: Rhythm) -> bool:
    return rhythm.after_ns <= max(_END_NS, rhythm.period_ns / 4)


def _samples_even_source(counts: Sequence[int]) -> bool:
    """Return whether the counts fit an evenly paced source that is read at even intervals.

    They take two adjacent values, in an order that keeps their sum within one of a straight line.
    Steps of an engine have no such order.
    """
    if len(counts) < 2 * _ENOUGH or max(counts) - min(counts) != 1:
        return False
    rare = min(counts.count(min(counts)), counts.count(max(counts)))
    mean = fmean(counts)
    drift = [total - mean * number for number, total in enumerate(accumulate(counts), 1)]
    return rare >= 2 and max(drift) - min(drift) <= 1.15


def _is_varied(rhythm: Rhythm) -> bool:
    """Return whether the counts vary too much for a source that is read at even intervals."""
    return len(rhythm.counts) >= _ENOUGH and rhythm.dispersion > _VARIED


def _is_wide(rhythm: Rhythm) -> bool:
    """Return whether the times between bursts vary more than those of a timer would.

    A timer that starts with the first held byte waits for that byte, about one gap of the source.
    """
    wait = 1.3 * rhythm.gap_ns * (1 + rhythm.dispersion)
    wide = len(rhythm.steps_ns) >= _ENOUGH and rhythm.spread_ns > max(_NOISE_NS, wait)
    return wide and not _has_floor(rhythm)


def _has_floor(rhythm: Rhythm) -> bool:
    """Return whether many times are just above the minimum, and the others far above it.

    A timer that starts with the first held byte of an irregular source causes such times.
    """
    ordered = sorted(rhythm.steps_ns)
    low, middle, high = ordered[0], quantile(ordered, 0.5), quantile(ordered, 0.9)
    return middle - low <= 0.42 * (high - low)


def _follows_pace(rhythm: Rhythm) -> bool:
    """Return whether the number of events is proportional to the time before each burst."""
    gap = rhythm.gap_ns
    close = [
        abs(step - number * gap) <= max(1.5 * gap, 0.25 * step)
        for number, step in zip(rhythm.counts, rhythm.steps_ns, strict=True)
    ]
    return _correlation(rhythm) >= 0.8 and sum(close) >= 0.7 * len(close)


def _ignores_pace(rhythm: Rhythm) -> bool:
    """Return whether the number of events is independent of the time before each burst."""
    if len(rhythm.counts) < _ENOUGH or not _varies(rhythm) or _has_floor(rhythm):
        return False
    return _correlation(rhythm) <= 0.5


def _correlation(rhythm: Rhythm) -> float:
    if len(rhythm.counts) < _FEW or not _varies(rhythm):
        return 0.0
    return correlation(rhythm.counts, rhythm.steps_ns)


def _varies(rhythm: Rhythm) -> bool:
    return len(set(rhythm.counts)) > 1 and len(set(rhythm.steps_ns)) > 1


def _reported_step(reading: Reading) -> float:
    """Return the mean number of tokens per step that llama.cpp reports in ``timings``, or 0."""
    for item in reversed(reading.items):
        if item.meaning is None:
            continue
        timings = mapping(mapping(item.meaning.payload).get("timings"))
        tokens, accepted = (count(timings.get(key)) for key in ("predicted_n", "draft_n_accepted"))
        if tokens and accepted and accepted < tokens:
            return tokens / (tokens - accepted)
    return 0.0
