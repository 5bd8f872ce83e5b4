"""Decoding packets into TCP segments."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from support.capture_builder import stream_through_proxy
from undam.tap.capture.capture_file import Packet
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
