"""Short soak test of the gateway; `python -m bench gateway_soak` runs it for five minutes."""

from __future__ import annotations

from bench.gateway_soak import soak


def test_misbehaving_clients_cause_no_leak() -> None:
    result = soak(9.0, clients=100, rounds=3)
    assert result.faults() == []
    assert result.sent > 300
    # The log must contain a distinct end reason for each way in which these streams end.
    assert {"complete", "client-left", "upstream-died", "client-frozen"} <= set(result.ends)
