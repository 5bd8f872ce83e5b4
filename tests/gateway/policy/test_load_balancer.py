"""LoadBalancer: the less busy of two, ejection with growing pauses, one trial at a time, drain."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from undam.gateway.policy.load_balancer import EjectionLimits, Lease, LoadBalancer

TERMS = EjectionLimits(failures=3, base_s=2.0, most_s=60.0)


def _balance(*names: str, limit: int = 0) -> LoadBalancer:
    return LoadBalancer(dict.fromkeys(names, limit), rng=random.Random(1), terms=TERMS)


def _take(balance: LoadBalancer, now: float = 0.0, *without: str) -> Lease:
    backend = balance.choose(now, without=without)
    assert backend is not None
    return balance.began(backend, now)


def _fail(balance: LoadBalancer, name: str, now: float, times: int = 3) -> None:
    others = [one.name for one in balance.backends if one.name != name]
    for _ in range(times):
        lease = _take(balance, now, *others)
        balance.failed(lease, now)
        balance.ended(lease)


def test_streams_spread_evenly_whatever_the_draws() -> None:
    balance = _balance("a", "b", "c", "d")
    for _ in range(400):
        _take(balance)
    assert all(90 <= one.outstanding <= 110 for one in balance.backends)
    two = _balance("a", "b")
    for _ in range(101):
        _take(two)
    assert sorted(one.outstanding for one in two.backends) == [50, 51]


def test_the_less_busy_one_gets_the_next() -> None:
    balance = _balance("a", "b")
    first = _take(balance)
    second = _take(balance)
    assert {first.name, second.name} == {"a", "b"}
    balance.ended(first)
    assert _take(balance).name == first.name


def test_limits_and_those_already_tried_are_respected() -> None:
    balance = _balance("a", "b", limit=1)
    one = _take(balance, 0.0, "a")
    assert one.name == "b"
    assert balance.choose(0.0, without={"a"}) is None
    assert balance.has_room()
    assert not balance.has_room(reserved=1)
    _take(balance)
    assert balance.choose(0.0) is None
    assert not balance.has_room()
    assert _balance("a").has_room(reserved=1000)


def test_failures_in_a_row_set_aside_and_one_trial_at_a_time_brings_back() -> None:
    balance = _balance("a", "b")
    _fail(balance, "a", 0.0, times=2)
    lease = _take(balance, 0.0, "b")
    balance.succeeded(lease, 0.0)  # not in a row
    balance.ended(lease)
    _fail(balance, "a", 0.0, times=2)
    assert {_take(balance).name for _ in range(4)} == {"a", "b"}
    _fail(balance, "a", 0.0, times=1)
    assert {_take(balance, 1.9).name for _ in range(10)} == {"b"}
    trial = _take(balance, 2.0)
    assert (trial.name, trial.trial) == ("a", True)
    assert {_take(balance, 2.0).name for _ in range(5)} == {"b"}
    assert balance.choose(2.0, trial=False) is not None
    balance.ended(trial)  # its client left: it told nothing
    trial = _take(balance, 2.0)
    assert trial.name == "a"
    balance.succeeded(trial, 2.1)
    assert _take(balance, 2.1).name == "a"


def test_the_pause_doubles_up_to_its_bound_and_shrinks_when_all_is_well() -> None:
    balance, now, pauses = _balance("a", "b"), 0.0, []
    _fail(balance, "a", now)
    for _ in range(8):
        until = balance.backends[0].ejected_until_s
        assert until is not None
        pauses.append(until - now)
        now = until
        trial = _take(balance, now)
        assert trial.trial
        assert balance.failed(trial, now)
        balance.ended(trial)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    now = balance.backends[0].ejected_until_s or 0
    trial = _take(balance, now)
    balance.succeeded(trial, now)
    balance.ended(trial)
    _fail(balance, "a", now + TERMS.most_s + 1)
    assert balance.backends[0].ejected_until_s == now + TERMS.most_s + 1 + TERMS.base_s


def test_the_last_one_is_used_all_the_same_and_the_least_bad_first() -> None:
    alone = _balance("a")
    _fail(alone, "a", 0.0, times=10)
    assert _take(alone, 0.1).name == "a"
    balance = _balance("a", "b")
    _fail(balance, "a", 0.0, times=3)
    _fail(balance, "b", 0.0, times=5)
    assert _take(balance, 0.1).name == "a"
    assert balance.choose(0.1, trial=False) is None  # no hedge goes to a sick one


def test_what_the_active_check_says_counts() -> None:
    balance = _balance("a", "b")
    balance.checked("a", well=False)
    balance.checked("nobody", well=False)
    assert {_take(balance).name for _ in range(5)} == {"b"}
    balance.checked("a", well=True)
    assert _take(balance).name == "a"


def test_one_that_is_removed_drains_and_may_come_back() -> None:
    balance = _balance("a", "b")
    kept = _take(balance, 0.0, "b")
    assert balance.replace({"b": 0, "c": 0}) == ("a",)
    assert Counter(_take(balance).name for _ in range(20)).keys() == {"b", "c"}
    assert balance.backend("a") is kept.backend
    balance.replace({"a": 0, "b": 0})
    assert not kept.backend.draining
    assert kept.backend.outstanding == 1
    balance.replace({"b": 0})
    balance.ended(kept)
    assert balance.backend("a") is None
    assert balance.replace({"c": 5}) == ("b",)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_whatever_happens(seed: int) -> None:
    rng, lease = random.Random(seed), []
    balance = LoadBalancer(dict.fromkeys("abc", 5), rng=rng)
    for step in range(3000):
        now = step / 50
        if rng.random() < 0.5 and (backend := balance.choose(now)) is not None:
            lease.append(balance.began(backend, now))
        elif lease:
            one = lease.pop(rng.randrange(len(lease)))
            rng.choice([balance.failed, balance.succeeded])(one, now)
            balance.ended(one)
        assert sum(one.outstanding for one in balance.backends) == len(lease)
        assert all(0 <= one.outstanding <= 5 for one in balance.backends)
        assert balance.has_room() == (len(lease) < 15)
