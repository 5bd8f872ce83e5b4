"""Some seconds of the soak (`python -m bench gateway_soak` takes five minutes)."""

from __future__ import annotations

from bench.gateway_soak import soak


def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    found = soak(9.0, clients=100, rounds=3)
    assert found.faults() == []
    assert found.asked > 300
    # Every sort of end that these clients and models bring about has its own name in the log.
    assert {"complete", "client-left", "upstream-died", "client-frozen"} <= set(found.ends)
