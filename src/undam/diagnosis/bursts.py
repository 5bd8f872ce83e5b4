"""Grouping of arrivals into bursts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from undam.diagnosis.reading import Reading
from undam.framing import Framing
from undam.timing import median

# If two reads are closer together than this, their data left the last buffer at once. Model servers
# take at least about 0.5 ms per token, while a burst that a hop releases arrives within tens of
# microseconds.
_TOGETHER_MIN_NS = 300_000
# A longer gap is always a pause, however slow the stream is.
_TOGETHER_MAX_NS = 5_000_000

# Some servers send the end of an event, such as its blank line, with the next event. Such a read
# ends with the last byte of a value or of a line. A buffer rarely splits a stream there.
_ENDS_OF_VALUES = {
    Framing.SSE: (b"\n", b"\r", b"}"),
    Framing.NDJSON: (b"}",),
    Framing.JSON_SEQ: (b"}", b"]"),
}


@dataclass(frozen=True, slots=True)
class Burst:
    """Reads that arrived together.

    Args:
        events: content events that became readable in the burst.
        size_bytes: stream bytes after decoding.
        wire_bytes: encoded bytes if the stream is compressed, else the same as ``size_bytes``.
        inside: whether the burst ended in the middle of an event. An event that lacks only its
            terminator does not count.
        last_event_bytes: approximate size of its last event.
        late_ns: longest time for which data of one of its reads waited in the kernel.
    """

    start_ns: int
    end_ns: int
    events: int
    size_bytes: int
    wire_bytes: int
    inside: bool
    last_event_bytes: int
    late_ns: int


def together_ns(times_ns: Sequence[int]) -> int:
    """Return the gap above which two arrivals in this stream belong to different bursts."""
    gaps = [b - a for a, b in pairwise(times_ns)]
    if not gaps:
        return _TOGETHER_MIN_NS
    typical = median(gaps)
    if typical >= _TOGETHER_MIN_NS:
        return int(min(_TOGETHER_MAX_NS, max(_TOGETHER_MIN_NS / 2, typical / 10)))
    # Most events arrive in bursts, so the pauses between the bursts set the scale.
    pauses = [gap for gap in gaps if gap >= _TOGETHER_MIN_NS]
    mean = sum(pauses) / len(pauses) if pauses else 0
    return int(min(_TOGETHER_MAX_NS, max(_TOGETHER_MIN_NS, mean / 20)))


def find_bursts(reading: Reading) -> list[Burst]:
    """Return a stream's bursts, starting at its first content, without bursts of heartbeats."""
    contents = reading.contents
    if not contents:
        return []
    limit = together_ns([item.at_ns for item in contents])
    per_read = [0] * len(reading.pending)
    for item in contents:
        per_read[item.read] += 1
    useful = [i for i, n in enumerate(per_read) if n or _grew(reading, i)]
    bursts: list[Burst] = []
    group: list[int] = []
    for index in useful:
        if group and _at(reading, index) - _at(reading, group[-1]) > limit:
            bursts.append(_burst(reading, group, per_read))
            group = []
        group.append(index)
    bursts.append(_burst(reading, group, per_read))
    return [burst for burst in bursts if burst.events or burst.inside]


def _at(reading: Reading, index: int) -> int:
    return reading.exchange.arrivals[index].at_ns


def _grew(reading: Reading, index: int) -> bool:
    """Return whether the read added bytes to an unfinished event."""
    before = reading.pending[index - 1] if index else 0
    return reading.pending[index] > before


def _burst(reading: Reading, group: Sequence[int], per_read: Sequence[int]) -> Burst:
    reads = [reading.exchange.arrivals[i] for i in group]
    events = sum(per_read[i] for i in group)
    size = sum(len(read.data) for read in reads)
    coded = sum(len(r.data) if r.wire_bytes is None else r.wire_bytes for r in reads)
    left = reading.pending[group[-1]]
    carried = reading.pending[group[0] - 1] if group[0] else 0
    whole = size + carried - left
    return Burst(
        start_ns=reads[0].at_ns,
        end_ns=reads[-1].at_ns,
        events=events,
        size_bytes=size,
        wire_bytes=coded,
        inside=left > 0 and not reads[-1].data.endswith(_ENDS_OF_VALUES.get(reading.framing, ())),
        last_event_bytes=whole // events if events else size,
        late_ns=max(read.late_ns for read in reads),
    )
