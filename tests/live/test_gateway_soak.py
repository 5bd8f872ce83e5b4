"""A short soak test; `python -m bench gateway_soak` takes five minutes."""

from __future__ import annotations

from bench.gateway_soak import soak


def test_misbehaving_clients_cause_no_leak() -> None:
    result = soak(9.0, clients=100, rounds=3)
    assert result.faults() == []
    assert result.sent > 300
    # Each end that these clients and models cause has its own reason in the log.
    assert {"complete", "client-left", "upstream-died", "client-frozen"} <= set(result.ends)
