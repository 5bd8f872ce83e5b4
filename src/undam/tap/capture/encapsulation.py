"""Headers in front of an IP packet: link layers, VLAN tags, MPLS labels, PPPoE and tunnels.

Overlay networks and traffic mirroring put whole packets into VXLAN, Geneve or GRE packets. The
packet inside is the one that the proxy received or sent.
"""

from __future__ import annotations

from undam.tap.capture.capture_file import ETHERNET, RAW_IP

_IPV4, _IPV6, _BRIDGED, _PPPOE = 0x0800, 0x86DD, 0x6558, 0x8864
_IP = {_IPV4, _IPV6}
_VLAN = {0x8100, 0x88A8, 0x9100}
_MPLS = {0x8847, 0x8848}
_PPP = {0x0021: _IPV4, 0x0057: _IPV6}
# ERSPAN versions 1 and 2 have the same type. The sequence number in the GRE header distinguishes
# them: only version 2 has a header of its own.
_ERSPAN, _ERSPAN_3 = 0x88BE, 0x22EB

# Link types that begin with the IP header, and those that begin with a fixed header in front of it.
_RAW = {12, 14, RAW_IP, 228, 229}
_BSD_LOOPBACK = {0, 108}
_PPP_LINK, _COOKED, _COOKED_2 = 9, 113, 276
_KNOWN = {ETHERNET, _PPP_LINK, _COOKED, _COOKED_2} | _RAW | _BSD_LOOPBACK

# Maximum number of tags in front of an IP header; more do not occur.
_MAX_TAGS = 6

_IP_IN_IP, _UDP, _IPV6_IN_IP, _GRE = 4, 17, 41, 47
# 4789 is the registered port of VXLAN; Linux uses 8472 by default, and so does flannel.
_VXLAN_PORTS = {4789, 8472}
_GENEVE_PORT = 6081


def is_known(link_type: int) -> bool:
    """Return whether packets with this link type can be decoded."""
    return link_type in _KNOWN


def ip_offset(link_type: int, data: bytes) -> int | None:
    """Return the offset of the first IP header in a packet; ``None`` if there is none."""
    if link_type == ETHERNET:
        return _after_type(data, 12)
    if link_type == _COOKED:
        return _after_type(data, 14)
    if link_type == _COOKED_2:
        return _of_type(data, _number(data, 0), 20)
    if link_type == _PPP_LINK:
        at = 2 if data[:2] == b"\xff\x03" else 0
        return at + 2 if _number(data, at) in _PPP else None
    if link_type in _RAW:
        return 0
    return 4 if link_type in _BSD_LOOPBACK else None


def tunneled_offset(protocol: int, data: bytes, at: int) -> int | None:
    """Return the offset of the IP header inside a tunnel; ``None`` if it is not a known tunnel.

    Args:
        protocol: IP protocol of the outer packet.
        at: offset of the data behind its IP header.
    """
    if protocol in (_IP_IN_IP, _IPV6_IN_IP):
        return at
    if protocol == _GRE:
        return _inside_gre(data, at)
    if protocol != _UDP:
        return None
    port = _number(data, at + 2)
    if port in _VXLAN_PORTS and data[at + 8 : at + 9] == b"\x08":
        return _after_type(data, at + 16 + 12)
    if port == _GENEVE_PORT and at + 16 <= len(data):
        return _of_type(data, _number(data, at + 10), at + 16 + (data[at + 8] & 0x3F) * 4)
    return None


def _inside_gre(data: bytes, at: int) -> int | None:
    """Return the offset of the IP header in a GRE packet (RFC 2784, RFC 2890)."""
    flags, kind = _number(data, at), _number(data, at + 2)
    if flags & 7:
        return None  # PPTP has a header of another form.
    inside = at + 4 + 4 * sum(bool(flags & flag) for flag in (0x8000, 0x2000, 0x1000))
    if kind == _ERSPAN:
        return _after_type(data, inside + (8 if flags & 0x1000 else 0) + 12)
    if kind == _ERSPAN_3:
        optional = data[inside + 11 : inside + 12] or b"\x00"
        return _after_type(data, inside + (20 if optional[0] & 1 else 12) + 12)
    return _of_type(data, kind, inside)


def _after_type(data: bytes, at: int) -> int | None:
    """Return the offset of the IP header behind the EtherType at ``at``."""
    return _of_type(data, _number(data, at), at + 2)


def _of_type(data: bytes, kind: int, at: int) -> int | None:
    """Return the offset of the IP header in a payload.

    Args:
        kind: EtherType of the payload.
        at: offset of the payload.
    """
    for _ in range(_MAX_TAGS):
        if kind in _IP:
            return at
        if kind in _VLAN:
            kind, at = _number(data, at + 2), at + 4
        elif kind == _BRIDGED:
            kind, at = _number(data, at + 12), at + 14
        elif kind == _PPPOE:
            kind, at = _PPP.get(_number(data, at + 6), 0), at + 8
        elif kind in _MPLS and at + 4 <= len(data):
            # The last label has the bottom-of-stack bit. What follows has no type.
            kind, at = (_IPV4 if data[at + 2] & 1 else kind), at + 4
        else:
            return None
    return None


def _number(data: bytes, at: int) -> int:
    """Return a 16-bit number; 0 if the packet ends before it."""
    return int.from_bytes(data[at : at + 2], "big") if at + 2 <= len(data) else 0
