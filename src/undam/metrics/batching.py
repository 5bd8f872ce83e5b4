"""Findings about batched events: batched by response, bytes, time or count."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

from undam.metrics.aggregate import Aggregate
from undam.metrics.pattern import BurstPattern
from undam.rules import Finding, Severity, finding
from undam.timing import to_ms

# With fewer events, the result would not be significant.
_MIN_EVENTS = 20
# Above this share, responses or events count as held, as in `undam check`.
_SHARE = 0.5
# Speculative decoders accept up to this many tokens per step.
_SPECULATIVE = 5
# A writer that counts events nearly always sends the same number of events. A buffer rarely does.
_BY_COUNT_SHARE = 0.95
_MIN_BURSTS = 3
_FIRST_SHARE, _FIRST_EVENTS = 0.4, 0.3
# Buffer sizes are powers of two. A block is smaller than the buffer by at most the event that did
# not fit. The intervals between blocks follow the rhythm of the model, so they vary more than the
# block sizes, unless the model is perfectly regular.
_EVEN = 0.15
_BLOCK_SHARE = 0.12
_SMALLEST_BLOCK_BITS = 12
_CLOSE_SHARE = 0.06
_TIMER_SPREAD = 0.1


def find_batching(aggregate: Aggregate, hop: str) -> Iterator[Finding]:
    """Yield at most one finding about events that the hop sent together."""
    pattern = aggregate.pattern
    if pattern.whole and pattern.whole >= _SHARE * pattern.answers:
        yield finding(
            "UD101", hop,
            events=pattern.whole_events.quantile(0.5),
            within_ms=to_ms(pattern.whole_within.quantile(0.5), 1),
            after_ms=to_ms(pattern.whole_after.quantile(0.5), 1),
            answers=pattern.whole, of=pattern.answers,
        )  # fmt: skip
    elif pattern.events >= _MIN_EVENTS and pattern.together >= _SHARE * pattern.events:
        yield _together(pattern, hop)


def _together(pattern: BurstPattern, hop: str) -> Finding:
    mean = pattern.events / pattern.bursts
    events_per_burst = f"{mean:.0f}" if mean >= 2 else f"{mean:.1f}"
    if not _is_by_count(pattern):
        block = block_of(pattern)
        if block is not None:
            return finding(
                "UD102", hop, block_bytes=f"about {block}", events_per_burst=events_per_burst
            )
        if mean > _SPECULATIVE and pattern.distances.spread <= _TIMER_SPREAD:
            every = to_ms(round(pattern.distances.mean), 1)
            return finding("UD103", hop, every_ms=every, events_per_burst=events_per_burst)
    return finding(
        "UD113", hop, events_per_burst=events_per_burst,
        burst_bytes=round(pattern.sizes_bytes.mean) or "an unknown number of",
        share_percent=round(100 * pattern.together / pattern.events),
        severity=Severity.INFO if mean <= _SPECULATIVE else None,
    )  # fmt: skip


def _is_by_count(pattern: BurstPattern) -> bool:
    """Return whether the sender's batches are limited by events rather than by bytes.

    Blocks that whole events fill exactly have the same pattern, except for the first block. That
    block also contains the response head or a role, and therefore fewer events. A sender that
    counts events begins with the same number, or with the first token alone.
    """
    if pattern.sizes.total() < _MIN_BURSTS:
        return True
    ((size, count),) = pattern.sizes.most_common(1)
    if count < _BY_COUNT_SHARE * pattern.sizes.total():
        return False
    return not size * _FIRST_SHARE < pattern.first.mean < size - _FIRST_EVENTS


def block_of(pattern: BurstPattern) -> int | None:
    """Return the buffer size in bytes that explains the bursts, or ``None``."""
    size, rhythm = pattern.sizes_bytes, pattern.distances
    if size.spread > _EVEN:
        return None
    block = 1 << max(_SMALLEST_BLOCK_BITS, round(log2(size.mean)))
    # The mean of many bursts is within a few percent of the buffer size.
    error = abs(size.mean - block) / block
    if error <= _CLOSE_SHARE or (error <= _BLOCK_SHARE and size.spread < rhythm.spread / 2):
        return block
    return None
