"""Reading and writing capture files, including damaged ones."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.capture_builder import pcap, pcapng, stream_through_proxy
from undam.errors import UsageError
from undam.tap.capture.capture_file import CaptureReader, Packet

PACKETS = stream_through_proxy([10, 20, 30], [11, 21, 31])


def read(data: bytes) -> tuple[list[Packet], CaptureReader]:
    reader = CaptureReader(io.BytesIO(data), "x.pcap")
    return list(reader), reader


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcap_file_with_nanoseconds_is_read_exactly(order: str) -> None:
    packets, reader = read(pcap(PACKETS, order=order))
    assert packets == PACKETS
    assert reader.problem is None


def test_a_pcap_file_with_microseconds_is_read_to_the_microsecond() -> None:
    packets, _ = read(pcap(PACKETS, nanoseconds=False))
    assert [one.at_ns for one in packets] == [one.at_ns // 1000 * 1000 for one in PACKETS]


def test_a_pcapng_file_is_read_as_it_was_written() -> None:
    packets, reader = read(pcapng(PACKETS))
    assert packets == PACKETS
    assert reader.problem is None


def test_several_sections_are_read() -> None:
    packets, _ = read(pcapng(PACKETS[:3]) + pcapng(PACKETS[3:]))
    assert packets == PACKETS


@pytest.mark.parametrize("data", [b"", b"abc", b"GET / HTTP/1.1\r\n" * 3, b"\x1f\x8b" + bytes(40)])
def test_a_file_that_is_not_a_capture_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"^x\.pcap: "):
        read(data)


@pytest.mark.parametrize("build", [pcap, pcapng])
def test_a_truncated_file_is_read_up_to_the_last_whole_packet(build: object) -> None:
    data = build(PACKETS)  # type: ignore[operator]
    packets, reader = read(data[:-7])
    assert packets == PACKETS[:-1]
    assert reader.problem is not None
    assert "x.pcap" in reader.problem


def test_cut_packets_are_counted() -> None:
    cut = [one._replace(data=one.data[:60]) for one in PACKETS]
    packets, reader = read(pcap(cut))
    assert reader.cut_packets == sum(len(one.data) > 60 for one in PACKETS)
    assert packets == cut


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([pcap(PACKETS), pcapng(PACKETS)]))
def test_a_damaged_file_never_raises_anything_but_a_usage_error(
    chance: random.Random, valid: bytes
) -> None:
    data = bytearray(valid)
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    del data[chance.randrange(len(data)) :]
    try:
        packets, _ = read(bytes(data))
    except UsageError:
        return
    assert len(packets) <= len(PACKETS)
