"""TCP reassembly: reordered segments, retransmissions, and bytes missing from the capture."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from undam.tap.capture.segments import ACK, FIN, SYN, Segment
from undam.tap.reassembly import Direction, Piece

FLOW = b"\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02"
MS = 1_000_000


def segment(
    seq: int, data: bytes, at_ms: float, *, flags: int = ACK, cut: int = 0, ident: int = 0
) -> Segment:
    return Segment(round(at_ms * MS), FLOW, seq, 0, flags, 512, data, cut, ident or seq % 60000 + 1)


def opened() -> Direction:
    direction = Direction()
    direction.receive_segment(segment(99, b"", 0, flags=SYN))
    return direction


def text(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


def test_segments_in_order_keep_their_times() -> None:
    direction = opened()
    assert direction.receive_segment(segment(100, b"abc", 1)) == [Piece(MS, b"abc")]
    assert direction.receive_segment(segment(103, b"d", 2)) == [Piece(2 * MS, b"d")]
    assert direction.from_start


def test_bytes_after_a_network_loss_become_readable_with_the_retransmission() -> None:
    direction = opened()
    assert direction.receive_segment(segment(103, b"def", 1)) == []
    pieces = direction.receive_segment(segment(100, b"abc", 200))
    assert pieces == [Piece(200 * MS, b"abc"), Piece(200 * MS, b"def")]
    assert direction.stats.lost_bytes == 0


def test_bytes_that_only_the_capture_lost_do_not_delay_the_others() -> None:
    direction = opened()
    direction.receive_segment(segment(103, b"def", 1))
    assert direction.receive_ack(106, 512, 2 * MS) == []
    pieces = direction.receive_ack(106, 512, 80 * MS)
    assert pieces == [Piece(MS, b"def", lost=3)]
    assert direction.stats.lost_bytes == 3
    assert direction.stats.gaps == 1


def test_a_retransmission_is_counted_and_not_delivered_again() -> None:
    direction = opened()
    direction.receive_segment(segment(100, b"abc", 1, ident=1))
    assert direction.receive_segment(segment(100, b"abc", 300, ident=2)) == []
    assert direction.stats.retransmitted == 1


def test_a_packet_that_was_captured_on_two_interfaces_is_not_a_retransmission() -> None:
    direction = opened()
    direction.receive_segment(segment(100, b"abc", 1, ident=7))
    assert direction.receive_segment(segment(100, b"abc", 1.2, ident=7)) == []
    assert (direction.stats.copies, direction.stats.retransmitted) == (1, 0)


def test_an_overlap_delivers_only_the_new_bytes() -> None:
    direction = opened()
    direction.receive_segment(segment(100, b"abc", 1))
    assert text(direction.receive_segment(segment(101, b"bcde", 2))) == b"de"


def test_sequence_numbers_wrap_around() -> None:
    direction = Direction()
    direction.receive_segment(segment((1 << 32) - 3, b"", 0, flags=SYN))
    got = direction.receive_segment(segment((1 << 32) - 2, b"abcd", 1))
    got += direction.receive_segment(segment(2, b"ef", 2))
    assert text(got) == b"abcdef"


def test_a_connection_that_began_before_the_capture_starts_with_its_first_segment() -> None:
    direction = Direction()
    assert text(direction.receive_segment(segment(5000, b"abc", 1))) == b"abc"
    assert not direction.from_start


def test_a_cut_packet_is_reported_as_missing_bytes() -> None:
    direction = opened()
    pieces = direction.receive_segment(segment(100, b"abc", 1, cut=10))
    assert pieces == [Piece(MS, b"abc"), Piece(MS, b"", lost=10)]
    assert text(direction.receive_segment(segment(113, b"x", 2))) == b"x"


def test_the_end_is_recognised_after_the_last_byte() -> None:
    direction = opened()
    direction.receive_segment(segment(100, b"abc", 1))
    direction.receive_segment(segment(103, b"", 2, flags=FIN | ACK))
    assert (direction.ended, direction.ended_ns) == ("fin", 2 * MS)


def test_gaps_that_are_never_filled_use_bounded_memory() -> None:
    direction = opened()
    delivered = 0
    for number in range(2000):
        start = 200 + number * 20
        delivered += len(
            text(direction.receive_segment(segment(start, b"0123456789", number / 100)))
        )
    assert delivered >= 1400 * 10
    assert direction.stats.gaps > 0


@st.composite
def divided(draw: st.DrawFn) -> tuple[bytes, int, list[Segment]]:
    """Return data, its first sequence number, and segments that cover the data in any order."""
    data = draw(st.binary(min_size=1, max_size=120))
    first = draw(st.sampled_from([100, (1 << 32) - 40, (1 << 32) - 1]))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=10))})
    ranges = list(pairwise(cuts))
    more = st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))
    ranges += [(min(one), max(one)) for one in draw(st.lists(more, max_size=6))]
    ranges += draw(st.lists(st.sampled_from(ranges), max_size=4))
    ordered = draw(st.permutations([one for one in ranges if one[0] < one[1]]))
    return data, first, [
        segment((first + start) % (1 << 32), data[start:stop], 1 + number / 10, ident=number + 1)
        for number, (start, stop) in enumerate(ordered)
    ]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(divided())
def test_any_division_order_and_overlap_gives_the_same_bytes(
    given: tuple[bytes, int, list[Segment]],
) -> None:
    data, first, segments = given
    direction = Direction()
    direction.receive_segment(segment((first - 1) % (1 << 32), b"", 0, flags=SYN))
    pieces = [piece for one in segments for piece in direction.receive_segment(one)]
    pieces += direction.finish()
    assert text(pieces) == data
    assert not any(piece.lost for piece in pieces)
    times = [piece.at_ns for piece in pieces]
    assert times == sorted(times)
    assert (direction.stats.lost_bytes, direction.stats.bytes) == (0, len(data))


@settings(max_examples=50, deadline=None)
@given(divided(), st.sets(st.integers(0, 30), max_size=5))
def test_missing_segments_leave_gaps_of_exactly_the_missing_bytes(
    given: tuple[bytes, int, list[Segment]], missing: set[int]
) -> None:
    data, first, segments = given
    direction = Direction()
    direction.receive_segment(segment((first - 1) % (1 << 32), b"", 0, flags=SYN))
    kept = [one for number, one in enumerate(segments) if number not in missing]
    pieces = [piece for one in kept for piece in direction.receive_segment(one)]
    pieces += direction.finish()
    at = 0
    for piece in pieces:
        at += piece.lost
        assert data[at : at + len(piece.data)] == piece.data
        at += len(piece.data)
    covered = {
        (one.seq - first) % (1 << 32) + step for one in kept for step in range(len(one.payload))
    }
    assert sum(len(piece.data) for piece in pieces) == len(covered)
