"""Heartbeats: due when idle, counted from the last write, never in a row to catch up."""

from __future__ import annotations

import pytest

from undam.timing.heartbeat import Heartbeat


def test_one_is_due_an_interval_after_the_start() -> None:
    heartbeat = Heartbeat(100, 1000)
    assert heartbeat.due_ns == 1100
    assert heartbeat.wait_ns(1030) == 70
    assert heartbeat.wait_ns(1100) == 0


def test_a_write_puts_it_off() -> None:
    heartbeat = Heartbeat(100, 1000)
    heartbeat.wrote(1099)
    assert heartbeat.wait_ns(1100) == 99


def test_a_late_wake_up_is_not_followed_by_a_burst() -> None:
    heartbeat = Heartbeat(100, 1000)
    assert heartbeat.wait_ns(1950) == 0
    heartbeat.wrote(1950)
    assert heartbeat.due_ns == 2050


@pytest.mark.parametrize("interval_ns", [0, -1])
def test_none_is_said_by_leaving_it_out(interval_ns: int) -> None:
    with pytest.raises(ValueError, match="leave the heartbeat out"):
        Heartbeat(interval_ns, 0)
