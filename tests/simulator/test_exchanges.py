"""The exchange log: exchanges in progress, finished ones, and removal of old ones."""

from __future__ import annotations

from undam.simulator.exchanges import ExchangeLog


def test_an_exchange_is_known_until_newer_ones_replace_it() -> None:
    exchanges = ExchangeLog(max_exchanges=2)
    exchanges.opened("a")
    assert exchanges.closed("a") == {"known": True, "closed_ns": None, "finished": False}
    exchanges.ended("a", 7, finished=True)
    assert exchanges.closed("a") == {"known": True, "closed_ns": 7, "finished": True}
    exchanges.opened("b")
    exchanges.opened("c")
    exchanges.ended("a", 8, finished=True)
    assert exchanges.closed("a") == {"known": False, "closed_ns": None, "finished": False}
