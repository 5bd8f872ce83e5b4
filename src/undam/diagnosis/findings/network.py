"""Network effects on a stream. Bursts that these effects explain are not attributed to a hop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from undam.diagnosis.bursts import Burst
from undam.record import Exchange
from undam.timing import median

# A shorter handshake means that both ends are on the same machine or in the same rack. TCP then
# neither waits for its window nor loses segments, and only the machines cause jitter.
_FAR_NS = 2_000_000

# TCP's initial window is ten segments (RFC 6928). The rest of a longer burst is sent one round trip
# later.
_WINDOW_BYTES = 12_000

# Body bytes in one full Ethernet segment, without the overhead of chunked coding.
_SEGMENT_BYTES = range(1200, 1461)

# Radio links, congested queues and busy machines delay packets by some tens of ms. TCP then
# delivers the data behind a late packet all at once.
_JITTER_NS = 50_000_000

# A buffer releases its events at the speed of the link: some microseconds per event.
_RELEASED_NS = 100_000


def round_trip_ns(exchange: Exchange) -> int:
    """Return the duration of the TCP handshake in ns; 0 if it is not known."""
    stamps = exchange.stamps
    if stamps.connect_ns is None:
        return 0
    return max(0, stamps.connect_ns - (stamps.dns_ns or stamps.start_ns))


def is_far(exchange: Exchange) -> bool:
    """Return whether the path is long enough for TCP windows, losses and jitter to matter."""
    return round_trip_ns(exchange) >= _FAR_NS


def typical_pause_ns(bursts: Sequence[Burst]) -> float:
    """Return the median time between the end of a burst and the start of the next."""
    return median([b.start_ns - a.end_ns for a, b in pairwise(bursts)])


def why_windows(exchange: Exchange, bursts: Sequence[Burst]) -> str:
    """Return an explanation if the TCP window alone causes the bursts, else an empty string.

    An answer sent faster than the path can carry arrives in flights one round trip apart.
    """
    trip = round_trip_ns(exchange)
    size = median([burst.wire_bytes for burst in bursts[:-1]])
    if trip < _FAR_NS or size < _WINDOW_BYTES or typical_pause_ns(bursts) > 1.5 * trip:
        return ""
    return (
        f"bursts arrived one round trip ({trip / 1e6:.0f} ms) apart, as TCP's window causes them; "
        f"run the check nearer to the server, or use --beacon"
    )


def why_segments(exchange: Exchange, block_bytes: int) -> str:
    """Return an explanation if blocks are TCP segments on a long path, else an empty string."""
    if not is_far(exchange) or block_bytes not in _SEGMENT_BYTES:
        return ""
    return (
        f"blocks of {block_bytes} bytes are TCP segments, from a slow link or from a hop that "
        f"waits for full ones; run the check nearer to the server, or use --beacon"
    )


def why_flow(bursts: Sequence[Burst]) -> str:
    """Return an explanation if events of a burst arrived one by one, else an empty string."""
    many = [burst for burst in bursts[:-1] if burst.events > 1]
    pace = median([(burst.end_ns - burst.start_ns) / (burst.events - 1) for burst in many] or [0])
    if pace <= _RELEASED_NS:
        return ""
    return (
        f"events arrived {pace / 1e6:.1f} ms apart between pauses, as from a fast model that stops "
        f"now and then; use --beacon, or --hop with the model server's URL"
    )


def why_jitter(exchange: Exchange, bursts: Sequence[Burst]) -> str:
    """Return an explanation if jitter may have caused irregular bursts, else an empty string."""
    pause = typical_pause_ns(bursts)
    if pause > max(_JITTER_NS, round_trip_ns(exchange)):
        return ""
    return (
        f"irregular bursts only {pause / 1e6:.0f} ms apart, which network jitter or a busy "
        f"machine can cause; run the check nearer to the server, or use --beacon"
    )
