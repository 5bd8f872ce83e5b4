"""Finding about a reused connection: delay due to Nagle's algorithm and delayed ACKs."""

from __future__ import annotations

from itertools import pairwise

from undam.diagnosis.findings.network import round_trip_ns
from undam.record import Exchange
from undam.rules import Finding, finding

# Linux delays an acknowledgement by 40 ms. A kernel timer can be a few milliseconds late.
_EXACT_NS = (38_000_000, 48_000_000)
_RELEASED_NS = (36_000_000, 60_000_000)
# On a new connection, the events must arrive earlier by more than the jitter of a path.
_FASTER_NS = 10_000_000
_SHORT_NS = 20_000_000
_GAPS = 3


def reuse_delay_ns(fresh: Exchange, reused: Exchange) -> int | None:
    """Return the delay of the first events that occurs only on a reused connection.

    Only the first gaps count: from the head to the first data, and between the next reads. After
    the head, a delay of 40 ms is enough. Later gaps must release several events in one read. If
    the server itself waits, the acknowledgement and the next data take a round trip in addition.
    """
    trip_ns = round_trip_ns(fresh)
    before, after = _gaps_ns(fresh), _gaps_ns(reused)
    for index, (short, gap) in enumerate(zip(before, after, strict=False)):
        if gap - short < _FASTER_NS:
            continue
        released = _events(reused, index) > max(1, _events(fresh, index))
        low, high = _RELEASED_NS if released else _EXACT_NS
        if not released and (index > 0 or short >= _SHORT_NS + trip_ns):
            continue
        if low <= gap <= high or low <= gap - trip_ns <= high:
            return gap
    return None


def find_reuse_delay(hop: str, delay_ns: int | None) -> list[Finding]:
    """Return the finding for a delay that was observed twice."""
    if delay_ns is None:
        return []
    return [finding("UD206", hop, delay_ms=round(delay_ns / 1e6, 1))]


def is_decided(reused: Exchange) -> bool:
    """Return whether enough of an answer has arrived for ``reuse_delay_ns``."""
    return len(reused.arrivals) >= _GAPS


def _gaps_ns(exchange: Exchange) -> list[int]:
    head_ns = exchange.stamps.head_ns
    if head_ns is None:
        return []
    times = [head_ns, *(arrival.at_ns for arrival in exchange.arrivals[:_GAPS])]
    return [b - a for a, b in pairwise(times)]


def _events(exchange: Exchange, index: int) -> int:
    return exchange.arrivals[index].data.count(b"\n\n")
