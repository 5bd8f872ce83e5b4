"""Arrivals must be immutable."""

from __future__ import annotations

import dataclasses

import pytest

from undam.timing import Arrival


def test_defaults() -> None:
    arrival = Arrival(5, b"abc")
    assert (arrival.at_ns, arrival.data, arrival.late_ns, arrival.wire_bytes) == (
        5,
        b"abc",
        0,
        None,
    )


def test_equality_by_value_and_immutability() -> None:
    assert Arrival(5, b"abc", 1, 2) == Arrival(5, b"abc", late_ns=1, wire_bytes=2)
    assert len({Arrival(5, b"abc"), Arrival(5, b"abc"), Arrival(6, b"abc")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Arrival(5, b"abc").at_ns = 6  # type: ignore[misc]
