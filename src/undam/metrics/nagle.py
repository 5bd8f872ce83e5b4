"""Detection of delays due to Nagle's algorithm and delayed acknowledgements."""

from __future__ import annotations

from undam.record.request_result import RequestResult

# Linux delays an acknowledgement by 40 ms. A kernel timer can be a few milliseconds late.
_LEAST_NS, _MOST_NS = 36_000_000, 60_000_000
# Maximum mean number of events per later read: after the delay, events arrive one by one.
_SINGLY = 1.5
_MIN_READS = 4
# A read that is this late may have returned several events that arrived one by one.
_LATE_NS = 5_000_000


def nagle_delay_ns(one: RequestResult) -> int | None:
    """Return the time from head to first content if Nagle's algorithm caused it, or ``None``.

    The first read must release several events, while all other events arrive one by one.
    """
    if one.head_ns is None or len(one.reads) < _MIN_READS:
        return None
    first, *others = one.reads
    delay_ns = first.at_ns - one.head_ns
    singly = sum(read.events for read in others) < _SINGLY * len(others)
    if _LEAST_NS <= delay_ns <= _MOST_NS and first.events > 1 and singly:
        return delay_ns if first.late_ns < _LATE_NS else None
    return None
