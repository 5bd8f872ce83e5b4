"""Estimates that are based on the sizes of TLS records."""

from __future__ import annotations

from undam.tap.capture.segments import Endpoint
from undam.tap.estimates import _assign, estimate_times, turns_of

CLIENT, SERVER = Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 443)


def test_parts_leave_with_the_record_that_contains_them() -> None:
    writes = [(10, 300), (20, 100), (30, 100), (40, 100)]
    assert estimate_times([100, 100, 100], writes) == [20, 30, 40]


def test_parts_that_one_record_carries_have_its_time() -> None:
    writes = [(10, 300), (50, 300)]
    assert estimate_times([100, 100, 100], writes) == [50, 50, 50]


def test_a_smaller_framing_does_not_shift_the_parts() -> None:
    writes = [(10, 90), (20, 90), (30, 90)]
    assert estimate_times([100, 100, 100], writes) == [10, 20, 30]


def test_each_request_begins_a_turn_and_small_records_of_the_client_do_not() -> None:
    sizes = [(1, True, 400), (5, False, 200), (6, True, 13), (7, False, 200), (9, True, 400),
             (12, False, 50)]  # fmt: skip
    first, second = turns_of(CLIENT, SERVER, sizes)
    assert (first.start_ns, first.writes) == (1, ((5, 200), (7, 200)))
    assert (second.start_ns, second.ended_ns, second.bytes) == (9, 12, 50)


def test_a_connection_without_a_response_has_no_turn() -> None:
    assert turns_of(CLIENT, SERVER, [(1, True, 400)]) == []


def test_as_many_streams_as_possible_are_paired() -> None:
    assert _assign({0: [0, 1], 1: [0]}) == {1: 0, 0: 1}
    assert _assign({0: [0, 1], 1: [1, 2], 2: [0]}) == {1: 0, 2: 1, 0: 2}
    assert _assign({0: [0], 1: [0]}) == {0: 0}
    assert _assign({}) == {}
