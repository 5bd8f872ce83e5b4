"""What a network alone does to a stream: where it can explain bursts, no hop is accused of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from undam.diagnosis.bursts import Burst
from undam.record import Exchange
from undam.timing import median

# A handshake quicker than this stays on one machine or in one rack: there TCP neither waits for
# its window nor loses segments, and nothing jitters by more than the machines themselves do.
_FAR_NS = 2_000_000

# TCP's first window is ten segments (RFC 6928); what is longer waits one round trip for the rest.
_WINDOW_BYTES = 12_000

# The body bytes of one full segment on Ethernet, less what chunked coding takes of it.
_SEGMENT_BYTES = range(1200, 1461)

# Radio links, crowded queues and busy machines delay by some tens of ms, and TCP hands over what
# waited behind a late packet all at once.
_JITTER_NS = 50_000_000

# What a buffer lets go comes at the speed of the link, some microseconds an event.
_RELEASED_NS = 100_000


def round_trip_ns(exchange: Exchange) -> int:
    """The time of the TCP handshake to the place that was asked; 0 where it is not known."""
    stamps = exchange.stamps
    if stamps.connect_ns is None:
        return 0
    return max(0, stamps.connect_ns - (stamps.dns_ns or stamps.start_ns))


def is_far(exchange: Exchange) -> bool:
    """Whether the way is long enough for TCP's windows, losses and jitter to show."""
    return round_trip_ns(exchange) >= _FAR_NS


def typical_pause_ns(bursts: Sequence[Burst]) -> float:
    """The median time between the end of a burst and the start of the next."""
    return median([b.start_ns - a.end_ns for a, b in pairwise(bursts)])


def why_windows(exchange: Exchange, bursts: Sequence[Burst]) -> str:
    """The reason, where TCP's window alone makes such bursts; else nothing.

    An answer that is sent faster than the path takes it comes in flights one round trip apart.
    """
    trip = round_trip_ns(exchange)
    size = median([burst.wire_bytes for burst in bursts[:-1]])
    if trip < _FAR_NS or size < _WINDOW_BYTES or typical_pause_ns(bursts) > 1.5 * trip:
        return ""
    return (
        f"bursts came one round trip ({trip / 1e6:.0f} ms) apart, as TCP's own window makes them; "
        f"run the check nearer to the server, or use --beacon"
    )


def why_segments(exchange: Exchange, block_bytes: int) -> str:
    """The reason, where blocks are as long as TCP's segments on a far path; else nothing."""
    if not is_far(exchange) or block_bytes not in _SEGMENT_BYTES:
        return ""
    return (
        f"blocks of {block_bytes} bytes are TCP's segments: a slow link makes them, or a hop that "
        f"waits for full ones; run the check nearer to the server, or use --beacon"
    )


def why_flow(bursts: Sequence[Burst]) -> str:
    """The reason, where events of a burst came after each other and not at once; else nothing."""
    many = [burst for burst in bursts[:-1] if burst.events > 1]
    pace = median([(burst.end_ns - burst.start_ns) / (burst.events - 1) for burst in many] or [0])
    if pace <= _RELEASED_NS:
        return ""
    return (
        f"events came {pace / 1e6:.1f} ms apart between pauses, as from a fast model that stops "
        f"now and then; use --beacon, or --hop with the model server's URL"
    )


def why_jitter(exchange: Exchange, bursts: Sequence[Burst]) -> str:
    """The reason, where jitter or a busy machine explains bursts without any rule; else nothing."""
    pause = typical_pause_ns(bursts)
    if pause > max(_JITTER_NS, round_trip_ns(exchange)):
        return ""
    return (
        f"uneven bursts only {pause / 1e6:.0f} ms apart, which a network's jitter or a busy "
        f"machine can make; run the check nearer to the server, or use --beacon"
    )
