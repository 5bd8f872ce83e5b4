"""Decoder for TCP segments in captured packets.

Link types: Ethernet (with VLAN tags), Linux cooked v1 and v2, raw IP, and BSD loopback. IPv4 and
IPv6 are decoded; fragments and other protocols are skipped.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from undam.tap.capture.capture_file import RAW_IP, Packet

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
"""TCP flags (RFC 9293, 3.1)."""

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = {0x8100, 0x88A8, 0x9100}
_TCP = 6
# IPv6 extension headers that may precede TCP: hop-by-hop, routing, destination options.
_IPV6_EXTENSIONS = {0, 43, 60}
_IPV4_HEADER = struct.Struct(">BxHHHxBxx8s")
_TCP_HEADER = struct.Struct(">4sIIBBH")
_IPV4_TCP_HEADERS = struct.Struct(">xxHHHxBxx12sIIBBH")
# First byte of an IPv4 packet without header options.
_PLAIN_IPV4 = 0x45


class Segment(NamedTuple):
    """One TCP segment.

    Args:
        flow: source and destination address and port, as bytes; it identifies the direction.
        payload: the captured part of the payload.
        cut: bytes at the end of the payload that were not captured.
        ident: IPv4 identification, to recognize a packet that was captured twice; -1 for IPv6.
    """

    at_ns: int
    flow: bytes
    seq: int
    ack: int
    flags: int
    window: int
    payload: bytes
    cut: int
    ident: int


def decode(packet: Packet) -> Segment | None:
    """Return the TCP segment in a packet, or ``None`` if the packet contains none."""
    at_ns, link_type, data, length = packet
    at = 0 if link_type == RAW_IP else _network_offset(link_type, data)
    if at is None or at >= len(data):
        return None
    if data[at] == _PLAIN_IPV4 and len(data) >= at + 40:
        total, ident, fragment, protocol, flow, seq, ack, offset, flags, window = _headers(data, at)
        if protocol != _TCP or fragment & 0x3FFF:
            return None
        header = 20 + (offset >> 4) * 4
        size = total or length - at
        if header < 40 or size < header:
            return None
        payload = data[at + header : at + size]
        cut = size - header - len(payload)
        return Segment(at_ns, flow, seq, ack, flags, window, payload, cut, ident)
    if data[at] >> 4 == 4:
        return _decode_ipv4(at_ns, data, at, length - at)
    if data[at] >> 4 == 6:
        return _decode_ipv6(at_ns, data, at, length - at)
    return None


def _network_offset(link_type: int, data: bytes) -> int | None:
    """Return the offset of the IP header in a packet."""
    if link_type == 1:
        at = 12
        for _ in range(3):
            kind = int.from_bytes(data[at : at + 2], "big")
            if kind in _VLAN:
                at += 4
                continue
            return at + 2 if kind in (_IPV4, _IPV6) else None
        return None
    if link_type == 113:
        return 16
    if link_type == 276:
        return 20
    if link_type in (12, 14, 101, 228, 229):
        return 0
    return 4 if link_type in (0, 108) else None


def _decode_ipv4(at_ns: int, data: bytes, at: int, length: int) -> Segment | None:
    if len(data) < at + 20:
        return None
    first, total, ident, fragment, protocol, addresses = _IPV4_HEADER.unpack_from(data, at)
    # In a fragment, the TCP header is incomplete or absent.
    if protocol != _TCP or fragment & 0x3FFF:
        return None
    header = (first & 15) * 4
    # The total length is 0 if the network card will segment the packet.
    return _decode_tcp(at_ns, data, at + header, (total or length) - header, addresses, ident)


def _decode_ipv6(at_ns: int, data: bytes, at: int, length: int) -> Segment | None:
    if len(data) < at + 40:
        return None
    following = data[at + 6]
    size = int.from_bytes(data[at + 4 : at + 6], "big") or length - 40
    addresses = data[at + 8 : at + 40]
    at += 40
    while following in _IPV6_EXTENSIONS and at + 2 <= len(data):
        following, extension = data[at], 8 * (data[at + 1] + 1)
        at += extension
        size -= extension
    if following != _TCP:
        return None
    return _decode_tcp(at_ns, data, at, size, addresses, -1)


def _decode_tcp(
    at_ns: int, data: bytes, at: int, size: int, addresses: bytes, ident: int
) -> Segment | None:
    if len(data) < at + 20:
        return None
    ports, seq, ack, offset, flags, window = _TCP_HEADER.unpack_from(data, at)
    header = (offset >> 4) * 4
    if header < 20 or size < header:
        return None
    payload = data[at + header : at + size]
    cut = size - header - len(payload)
    return Segment(at_ns, addresses + ports, seq, ack, flags, window, payload, cut, ident)


_headers = _IPV4_TCP_HEADERS.unpack_from


class Endpoint(NamedTuple):
    """IP address and port."""

    address: str
    port: int

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


def reverse(flow: bytes) -> bytes:
    """Return the key of the flow in the opposite direction."""
    half = (len(flow) - 4) // 2
    return flow[half : 2 * half] + flow[:half] + flow[-2:] + flow[-4:-2]


def endpoints(flow: bytes) -> tuple[Endpoint, Endpoint]:
    """Return the source and destination of a flow."""
    half = (len(flow) - 4) // 2
    source, destination = ipaddress.ip_address(flow[:half]), ipaddress.ip_address(flow[half:-4])
    return (
        Endpoint(str(source), int.from_bytes(flow[-4:-2], "big")),
        Endpoint(str(destination), int.from_bytes(flow[-2:], "big")),
    )
