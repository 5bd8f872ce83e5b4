"""Findings about the measurement itself: when its results are unreliable."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop
from undam.record import Exchange
from undam.rules import Finding, finding
from undam.timing import quantile

# If reads are this late, they hide gaps that users would notice. With shorter delays, kernel
# timestamps are reliable.
LATE_NS = 10_000_000
# NTP slews by at most 0.5 ms per second, so a larger change during a run is a clock step.
_STEP_NS = 20_000_000
_UNCERTAIN_NS = 2_000_000
# A shorter wait is normal: every read is some microseconds late, which hides no gap.
_WAITED_NS = 2_000_000


def find_caveats(hops: Sequence[Hop], offset: ClockOffset | None) -> list[Finding]:
    """Return a finding for each condition that makes the measurements of these hops inexact."""
    found: list[Finding] = []
    for hop in hops:
        late = late_ns(hop)
        if late > LATE_NS:
            found.append(finding("UD901", hop.name, late_ms=round(late / 1e6, 1)))
        reads, longest = coalesced(hop)
        if reads:
            found.append(finding("UD902", hop.name, reads=reads, late_ms=round(longest / 1e6, 1)))
        step = max((abs(r.exchange.step_ns) for r in hop.readings), default=0)
        if step > _STEP_NS:
            found.append(finding("UD903", hop.name, step_ms=round(step / 1e6, 1)))
    if any(reading.exchange.clock != "kernel" for hop in hops for reading in hop.readings):
        found.append(finding("UD904", hops[0].name))
    if offset is not None and offset.uncertainty_ns > _UNCERTAIN_NS:
        off, about = offset.offset_ns / 1e6, offset.uncertainty_ns / 1e6
        found.append(
            finding("UD906", hops[0].name, offset_ms=round(off, 1), uncertainty_ms=round(about, 1))
        )
    return found


def late_ns(hop: Hop) -> int:
    """Return the p99 of the time that data waited in the kernel before it was read."""
    return latest_ns([reading.exchange for reading in hop.readings])


def latest_ns(exchanges: Sequence[Exchange]) -> int:
    """Return the p99 of the kernel wait in exchanges that have not been analyzed yet."""
    late = sorted(arrival.late_ns for one in exchanges for arrival in one.arrivals)
    return int(quantile(late, 0.99)) if late else 0


def coalesced(hop: Hop) -> tuple[int, int]:
    """Return the number of coalesced reads, and the longest wait among them in ns.

    A coalesced read has several events and waited here longer than the gap between events, so only
    the arrival of its last byte is known.
    """
    waits: list[int] = []
    for reading in hop.readings:
        contents = reading.contents
        if len(contents) < 2:
            continue
        gap = (contents[-1].at_ns - contents[0].at_ns) / (len(contents) - 1)
        per_read: dict[int, int] = {}
        for item in contents:
            per_read[item.read] = per_read.get(item.read, 0) + 1
        arrivals = reading.exchange.arrivals
        waits += [
            arrivals[i].late_ns
            for i, n in per_read.items()
            if n > 1 and arrivals[i].late_ns > max(gap, _WAITED_NS)
        ]
    return len(waits), max(waits, default=0)
