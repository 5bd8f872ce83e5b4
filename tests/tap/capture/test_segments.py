"""Decoding packets into TCP segments."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.capture_builder import stream_through_proxy
from undam.tap.capture.capture_file import Packet
from undam.tap.capture.encapsulation import ip_offset, is_known, tunneled_offset
from undam.tap.capture.segments import decode, endpoints
from undam.tap.session import TapSession

PACKETS = stream_through_proxy([10, 20, 30], [11, 21, 31])
LINK_TYPES = st.sampled_from([0, 1, 12, 101, 108, 113, 228, 229, 276, 999])


@settings(max_examples=50, deadline=None)
@given(LINK_TYPES, st.binary(max_size=120), st.integers(0, 2000))
def test_any_bytes_are_decoded_or_skipped(link_type: int, data: bytes, length: int) -> None:
    segment = decode(Packet(1, link_type, data, length))
    if segment is not None:
        assert len(segment.payload) <= len(data)
        assert all(one.port < 65536 for one in endpoints(segment.flow))


DAMAGES = st.tuples(st.integers(0, len(PACKETS) - 1), st.integers(0, 90), st.integers(0, 255))


@settings(max_examples=50, deadline=None)
@given(st.lists(DAMAGES, max_size=12))
def test_a_capture_with_damaged_packets_is_analyzed(damages: list[tuple[int, int, int]]) -> None:
    packets = list(PACKETS)
    for index, at, value in damages:
        data = bytearray(packets[index].data)
        data[at % len(data)] = value
        packets[index] = packets[index]._replace(data=bytes(data))
    session = TapSession()
    for packet in packets:
        session.receive_packet(packet)
    session.finish()
    assert session.stats.packets == len(PACKETS)


def ethernet(kind: int, payload: bytes) -> bytes:
    return bytes(12) + struct.pack(">H", kind) + payload


def ip(protocol: int, payload: bytes) -> bytes:
    size = 20 + len(payload)
    head = struct.pack(">BBHHHBBH", 0x45, 0, size, 7, 0x4000, 64, protocol, 0)
    return ethernet(0x0800, head + bytes([10, 1, 0, 1, 10, 1, 0, 2]) + payload)


def ipv6(protocol: int, payload: bytes) -> bytes:
    return ethernet(0x86DD, struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + bytes(32)
                    + payload)  # fmt: skip


def udp(port: int, payload: bytes) -> bytes:
    return struct.pack(">HHHH", 50000, port, 8 + len(payload), 0) + payload


VXLAN = b"\x08\x00\x00\x00\x00\x00\x2a\x00"
GENEVE = struct.pack(">BBHI", 1, 0, 0x6558, 0x2A00) + bytes(4)
ENCAPSULATIONS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "VLAN in VLAN": (1, lambda frame: frame[:12] + bytes.fromhex("88a8006481000065") + frame[12:]),
    "MPLS": (1, lambda frame: ethernet(0x8847, bytes.fromhex("0001004000020140") + frame[14:])),
    "PPPoE": (1, lambda frame: ethernet(0x8864, bytes.fromhex("1100000100000021") + frame[14:])),
    "GRE": (1, lambda frame: ip(47, b"\x00\x00\x08\x00" + frame[14:])),
    "GRE with key and checksum": (
        1, lambda frame: ip(47, b"\xa0\x00\x65\x58" + bytes(8) + frame)
    ),
    "ERSPAN 1": (1, lambda frame: ip(47, b"\x00\x00\x88\xbe" + frame)),
    "ERSPAN 2": (1, lambda frame: ip(47, b"\x10\x00\x88\xbe" + bytes(12) + frame)),
    "ERSPAN 3": (1, lambda frame: ip(47, b"\x10\x00\x22\xeb" + bytes(16) + frame)),
    "ERSPAN 3 with a subheader": (
        1, lambda frame: ip(47, b"\x10\x00\x22\xeb" + bytes(15) + b"\x01" + bytes(8) + frame)
    ),
    "IP in IP": (1, lambda frame: ip(4, frame[14:])),
    "VXLAN": (1, lambda frame: ip(17, udp(4789, VXLAN + frame))),
    "VXLAN of flannel over IPv6": (1, lambda frame: ipv6(17, udp(8472, VXLAN + frame))),
    "Geneve": (1, lambda frame: ip(17, udp(6081, GENEVE + frame))),
    "mirrored VXLAN": (
        1, lambda frame: ip(17, udp(4789, VXLAN + ip(17, udp(8472, VXLAN + frame))))
    ),
    "cooked with VLAN": (113, lambda frame: bytes(14) + bytes.fromhex("810000640800") + frame[14:]),
    "cooked 2 with VLAN": (
        276, lambda frame: b"\x81\x00" + bytes(18) + bytes.fromhex("00640800") + frame[14:]
    ),
    "PPP": (9, lambda frame: bytes.fromhex("ff030021") + frame[14:]),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCAPSULATIONS)
def test_a_segment_is_decoded_inside_each_encapsulation(name: str) -> None:
    link_type, wrap = ENCAPSULATIONS[name]
    for packet in PACKETS:
        data = wrap(packet.data)
        assert decode(Packet(packet.at_ns, link_type, data, len(data))) == decode(packet)


@pytest.mark.parametrize(
    ("protocol", "payload"),
    [
        (17, udp(53, VXLAN + PACKETS[0].data)),
        (17, udp(4789, b"not VXLAN" + PACKETS[0].data)),
        (17, udp(6081, b"\x00")),
        (47, b"\x20\x01\x88\x0b" + PACKETS[0].data),
        (50, PACKETS[0].data),
        (4, b""),
    ],
)
def test_other_protocols_contain_no_segment(protocol: int, payload: bytes) -> None:
    data = ip(protocol, payload)
    assert decode(Packet(1, 1, data, len(data))) is None


@settings(max_examples=50, deadline=None)
@given(LINK_TYPES, st.sampled_from([4, 17, 41, 47]), st.binary(max_size=60), st.integers(0, 40))
def test_truncated_headers_have_no_offset_before_their_beginning(
    link_type: int, protocol: int, data: bytes, at: int
) -> None:
    assert (ip_offset(link_type, data) or 0) >= 0
    found = tunneled_offset(protocol, data, at)
    assert found is None or found >= at


def test_a_link_type_without_a_decoder_is_unknown() -> None:
    assert is_known(1)
    assert not is_known(105)
