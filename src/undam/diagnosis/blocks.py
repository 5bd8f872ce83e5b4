"""Detection of blocks: bursts from a fixed-size buffer, which can end inside an event."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from undam.diagnosis.bursts import Burst
from undam.timing import median

FEW_EVENTS = 5
"""Bursts of at most five whole events prove no hold: most speculative decoders emit them."""

_SMALLEST_BUFFER = 1024
_SMALLEST_TEXT_BLOCK = 500

FEW_BURSTS = 3
"""Minimum pauses that show a rule; a model or a lost segment causes one or two."""


def are_cut(bursts: Sequence[Burst], trip_ns: int, *, compressed: bool) -> bool:
    """Return whether bursts end inside events: buffers split events, servers do not.

    A single cut proves nothing (a large event crosses several segments), so most bursts must end
    inside an event. In addition, either all have the same size to the byte, or they carry several
    events and the rest arrives later than a retransmission, which takes two round trips.
    """
    held = bursts[:-1]
    inside = [burst for burst in held if burst.inside]
    if len(inside) < max(1, 0.5 * len(held)):
        return False
    events = median([burst.events for burst in held])
    sizes = _sizes(held, compressed=compressed)
    if events >= 1 and len(sizes) >= 4 and _are_blocks(sizes):
        return True
    waited = [a for a, b in pairwise(bursts) if a.inside and b.start_ns - a.end_ns > 2 * trip_ns]
    enough = 2 if len(held) >= FEW_BURSTS else FEW_EVENTS + 1
    return events >= enough and len(waited) >= 0.5 * len(held)


def _sizes(held: Sequence[Burst], *, compressed: bool) -> list[int]:
    sizes = [burst.wire_bytes if compressed else burst.size_bytes for burst in held]
    # The first block shares its buffer with the response head (nginx), so it is smaller.
    return sizes[1:] or sizes


def _are_blocks(sizes: Sequence[int]) -> bool:
    """Return whether all sizes are equal, or small multiples of one size."""
    block = median(sizes)
    slack = max(2, block // 100)
    return all(abs(size - max(1, round(size / block)) * block) <= slack for size in sizes)


def block_of(held: Sequence[Burst], *, compressed: bool) -> int | None:
    """Return the block size of a stream whose events are split, or ``None`` if sizes differ."""
    sizes = _sizes(held, compressed=compressed)
    # A compressor writes blocks of one size, but the sizes of reads show it only approximately.
    return int(median(sizes)) if compressed or _are_blocks(sizes) else None


def threshold_of(held: Sequence[Burst]) -> int | None:
    """Return N if each burst reached N bytes only with its last event, else ``None``.

    Such bursts come from a buffer that flushes whole events. Constant bursts of equal events
    qualify, bursts with a varying number of events do not.
    """
    if len(held) < 4:
        return None
    reached = min(burst.size_bytes for burst in held[1:])
    before = max(burst.size_bytes - burst.last_event_bytes for burst in held[1:])
    return reached if before < reached else None


def fills_by_bytes(held: Sequence[Burst]) -> bool:
    """Return whether bytes limit the bursts: the number of events per burst then varies.

    An engine that emits a fixed number of tokens per step also reaches the same size each time.
    """
    counts = [burst.events for burst in held[1:]]
    return sum(counts.count(number) >= 2 for number in set(counts)) >= 2


def is_buffer_size(size: int | None) -> bool:
    """Return whether this is a usual buffer size: a power of two, at least 1 KB.

    TCP segments and windows do not, so one such block that ends inside an event is enough.
    """
    return size is not None and size >= _SMALLEST_BUFFER and size & (size - 1) == 0


def are_blocks_of_text(held: Sequence[Burst]) -> bool:
    """Return whether the bursts of a text are blocks of one size.

    Words differ in length, so bursts of one size, which need not be a power of two, are those of a
    buffer. Short lines may have a fixed width.
    """
    sizes = [burst.size_bytes for burst in held[1:]]
    same = len(sizes) >= FEW_BURSTS and min(sizes) == max(sizes) >= _SMALLEST_TEXT_BLOCK
    return same or are_equal_blocks(held)


def are_equal_blocks(held: Sequence[Burst]) -> bool:
    """Return whether all bursts of a body without events have the same usual buffer size.

    The first block may be smaller.
    """
    sizes = {burst.size_bytes for burst in (held[1:] or held)}
    return len(sizes) == 1 and is_buffer_size(sizes.pop())
