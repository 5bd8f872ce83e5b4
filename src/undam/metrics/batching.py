"""Whether the hop sent events together, and by which rule: whole, by bytes, by time, by count."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

from undam.metrics.aggregate import Aggregate
from undam.metrics.pattern import Pattern
from undam.rules import Finding, Severity, finding

# Fewer prove nothing.
_FEWEST_EVENTS = 20
# At least half, as in `undam check`.
_SHARE = 0.5
# Speculative decoders accept up to so many tokens a step.
_SPECULATIVE = 5
# A writer that counts events gives the same number nearly always; a buffer seldom does.
_BY_COUNT_SHARE = 0.95
_FEWEST_BURSTS = 3
_ROOM_SHARE, _ROOM_EVENTS = 0.4, 0.3
# Blocks differ by the event that no longer fitted; a buffer's size is a power of two. The rhythm
# of blocks is the model's, so it is less even than their size, unless the model is a metronome.
_EVEN = 0.15
_BLOCK_SHARE = 0.12
_SMALLEST_BLOCK_BITS = 12
_CLOSE_SHARE = 0.06
_TIMER_SPREAD = 0.1


def find_batching(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    """How events came together, if they did; at most one finding."""
    pattern = aggregate.pattern
    if pattern.whole and pattern.whole >= _SHARE * pattern.answers:
        yield finding(
            "UD101", hop,
            events=pattern.whole_events.quantile(0.5),
            within_ms=_ms(pattern.whole_within.quantile(0.5)),
            after_ms=_ms(pattern.whole_after.quantile(0.5)),
            answers=pattern.whole, of=pattern.answers,
        )  # fmt: skip
    elif pattern.events >= _FEWEST_EVENTS and pattern.together >= _SHARE * pattern.events:
        yield _together(pattern, hop)


def _together(pattern: Pattern, hop: str) -> Finding:
    usual = pattern.events / pattern.bursts
    many = f"{usual:.0f}" if usual >= 2 else f"{usual:.1f}"
    if not _is_by_count(pattern):
        block = block_of(pattern)
        if block is not None:
            return finding("UD102", hop, block_bytes=f"about {block}", events_per_burst=many)
        if usual > _SPECULATIVE and pattern.distances.spread <= _TIMER_SPREAD:
            every = _ms(round(pattern.distances.mean))
            return finding("UD103", hop, every_ms=every, events_per_burst=many)
    return finding(
        "UD113", hop, events_per_burst=many,
        burst_bytes=round(pattern.sizes_bytes.mean) or "an unknown number of",
        share_percent=round(100 * pattern.together / pattern.events),
        severity=Severity.INFO if usual <= _SPECULATIVE else None,
    )  # fmt: skip


def _is_by_count(pattern: Pattern) -> bool:
    """Whether someone counts events, and not bytes.

    A block that whole events fill exactly looks the same, but for the first: in that the head or a
    role took the room of some events. Who counts sends as many at first, or the first token alone.
    """
    if pattern.sizes.total() < _FEWEST_BURSTS:
        return True
    ((usual, most),) = pattern.sizes.most_common(1)
    if most < _BY_COUNT_SHARE * pattern.sizes.total():
        return False
    return not usual * _ROOM_SHARE < pattern.first.mean < usual - _ROOM_EVENTS


def block_of(pattern: Pattern) -> int | None:
    """The size of the buffer whose filling would cut the stream like this, in bytes."""
    size, rhythm = pattern.sizes_bytes, pattern.distances
    if size.spread > _EVEN:
        return None
    block = 1 << max(_SMALLEST_BLOCK_BITS, round(log2(size.mean)))
    # Whole events are counted, and the mean of many bursts is a buffer's size to a few percent.
    off = abs(size.mean - block) / block
    if off <= _CLOSE_SHARE or (off <= _BLOCK_SHARE and size.spread < rhythm.spread / 2):
        return block
    return None


def _ms(ns: int) -> float:
    return round(ns / 1e6, 1)
