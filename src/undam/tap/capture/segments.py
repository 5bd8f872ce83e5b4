"""Decoder for TCP segments in captured packets.

IPv4 and IPv6 are decoded, also inside tunnels. Fragments and other protocols are skipped.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from undam.tap.capture.capture_file import RAW_IP, Packet
from undam.tap.capture.encapsulation import ip_offset, tunneled_offset

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
"""TCP flags (RFC 9293, 3.1)."""

_TCP = 6
# A tunnel inside a tunnel occurs if a mirrored packet belongs to an overlay network.
_MAX_TUNNELS = 3
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
    at = 0 if link_type == RAW_IP else ip_offset(link_type, data)
    if at is None or at >= len(data):
        return None
    if data[at] == _PLAIN_IPV4 and len(data) >= at + 40:
        total, ident, fragment, protocol, flow, seq, ack, offset, flags, window = _headers(data, at)
        if protocol == _TCP and not fragment & 0x3FFF:
            header = 20 + (offset >> 4) * 4
            size = total or length - at
            if header < 40 or size < header:
                return None
            payload = data[at + header : at + size]
            cut = size - header - len(payload)
            return Segment(at_ns, flow, seq, ack, flags, window, payload, cut, ident)
    return _decode_ip(at_ns, data, at, length, _MAX_TUNNELS)


def _decode_ip(at_ns: int, data: bytes, at: int, length: int, tunnels: int) -> Segment | None:
    """Decode a packet whose IP header begins at ``at``, or the packet in the tunnel inside."""
    version = data[at] >> 4 if at < len(data) else 0
    found = _read_ipv4(data, at, length) if version == 4 else None
    found = _read_ipv6(data, at, length) if version == 6 else found
    if found is None:
        return None
    protocol, start, size, addresses, ident = found
    if protocol == _TCP:
        return _decode_tcp(at_ns, data, start, size, addresses, ident)
    inside = tunneled_offset(protocol, data, start) if tunnels else None
    return None if inside is None else _decode_ip(at_ns, data, inside, length, tunnels - 1)


_Header = tuple[int, int, int, bytes, int]
"""Protocol, offset and size of the data, addresses, and identification of an IP packet."""


def _read_ipv4(data: bytes, at: int, length: int) -> _Header | None:
    if len(data) < at + 20:
        return None
    first, total, ident, fragment, protocol, addresses = _IPV4_HEADER.unpack_from(data, at)
    # In a fragment, the TCP header is incomplete or absent.
    if fragment & 0x3FFF:
        return None
    header = (first & 15) * 4
    # The total length is 0 if the network card will segment the packet.
    return protocol, at + header, (total or length - at) - header, addresses, ident


def _read_ipv6(data: bytes, at: int, length: int) -> _Header | None:
    if len(data) < at + 40:
        return None
    following = data[at + 6]
    size = int.from_bytes(data[at + 4 : at + 6], "big") or length - at - 40
    addresses = data[at + 8 : at + 40]
    at += 40
    while following in _IPV6_EXTENSIONS and at + 2 <= len(data):
        following, extension = data[at], 8 * (data[at + 1] + 1)
        at += extension
        size -= extension
    return following, at, size, addresses, -1


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
