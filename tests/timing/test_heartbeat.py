"""Heartbeats are due after idle time; missed heartbeats are not sent later in a burst."""

from __future__ import annotations

import pytest

from undam.timing.heartbeat import Heartbeat


def test_first_heartbeat_is_due_one_interval_after_the_start() -> None:
    heartbeat = Heartbeat(100, 1000)
    assert heartbeat.due_ns == 1100
    assert heartbeat.wait_ns(1030) == 70
    assert heartbeat.wait_ns(1100) == 0


def test_write_postpones_the_heartbeat() -> None:
    heartbeat = Heartbeat(100, 1000)
    heartbeat.wrote(1099)
    assert heartbeat.wait_ns(1100) == 99


def test_late_wake_up_causes_no_burst() -> None:
    heartbeat = Heartbeat(100, 1000)
    assert heartbeat.wait_ns(1950) == 0
    heartbeat.wrote(1950)
    assert heartbeat.due_ns == 2050


@pytest.mark.parametrize("interval_ns", [0, -1])
def test_interval_must_be_positive(interval_ns: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Heartbeat(interval_ns, 0)
