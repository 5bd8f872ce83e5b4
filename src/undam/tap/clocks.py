"""Clock offset between captures on two hosts, from connections that appear in both captures.

A packet cannot arrive before it was sent. The smallest difference of its two times in one direction
is the offset plus the delay of the path, and in the other direction the delay minus the offset
(RFC 5905, section 8). The uncertainty is half of the round trip that remains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from undam.tap.capture.capture_file import Packet
from undam.tap.capture.segments import FIN, SYN, decode, endpoints

_MAX_PACKETS = 300_000
_Key = tuple[bytes, int, int, int]


@dataclass(frozen=True)
class FileOffset:
    """Clock offset of one capture, relative to the first capture.

    Args:
        offset_ns: subtract it from the capture's times to get those of the first capture.
        uncertainty_ns: maximum error of the offset.
        packets: packets that both captures contain.
    """

    offset_ns: int
    uncertainty_ns: int
    packets: int


def times_of(packets: Iterable[Packet]) -> dict[_Key, int]:
    """Return the earliest time of each packet with payload, SYN or FIN, by flow and position."""
    found: dict[_Key, int] = {}
    for packet in packets:
        segment = decode(packet)
        if segment is None or not (segment.payload or segment.flags & (SYN | FIN)):
            continue
        key = segment.flow, segment.seq, len(segment.payload) + segment.cut, segment.flags
        found.setdefault(key, segment.at_ns)
        if len(found) >= _MAX_PACKETS:
            break
    return found


def offset_between(first: dict[_Key, int], other: dict[_Key, int]) -> FileOffset | None:
    """Return the offset of ``other``; ``None`` without common packets in both directions.

    Args:
        first, other: results of `times_of`.
    """
    forward: list[int] = []
    backward: list[int] = []
    for key, at_ns in other.items():
        before = first.get(key)
        if before is not None:
            source, destination = endpoints(key[0])
            # It is unknown which host sent a packet, so packets are sorted by the direction of
            # their flow.
            (forward if source < destination else backward).append(at_ns - before)
    if not forward or not backward:
        return None
    # In one direction, the smallest difference is offset + delay. In the other, the largest one is
    # offset - delay. Retransmissions and queues only move these two bounds apart.
    bounds = [(min(forward), max(backward)), (min(backward), max(forward))]
    high, low = min(bounds, key=lambda bound: abs(bound[0] - bound[1]))
    return FileOffset((high + low) // 2, abs(high - low) // 2 + 1, len(forward) + len(backward))
