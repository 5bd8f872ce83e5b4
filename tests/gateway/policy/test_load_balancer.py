"""LoadBalancer: the less busy of two backends, growing ejection times, trials and draining."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from undam.gateway.config.limits import EjectionLimits
from undam.gateway.policy.load_balancer import Lease, LoadBalancer

EJECTION = EjectionLimits(failures=3, base_s=2.0, max_s=60.0)


def _balancer(*names: str, limit: int = 0) -> LoadBalancer:
    return LoadBalancer(dict.fromkeys(names, limit), rng=random.Random(1), ejection=EJECTION)


def _acquire(balancer: LoadBalancer, now: float = 0.0, *exclude: str) -> Lease:
    backend = balancer.choose(now, exclude=exclude)
    assert backend is not None
    return balancer.acquire(backend, now)


def _fail(balancer: LoadBalancer, name: str, now: float, times: int = 3) -> None:
    others = [one.name for one in balancer.backends if one.name != name]
    for _ in range(times):
        lease = _acquire(balancer, now, *others)
        balancer.failed(lease, now)
        balancer.release(lease)


def test_streams_are_spread_evenly() -> None:
    balancer = _balancer("a", "b", "c", "d")
    for _ in range(400):
        _acquire(balancer)
    assert all(90 <= one.outstanding <= 110 for one in balancer.backends)
    two = _balancer("a", "b")
    for _ in range(101):
        _acquire(two)
    assert sorted(one.outstanding for one in two.backends) == [50, 51]


def test_the_less_busy_backend_gets_the_next_stream() -> None:
    balancer = _balancer("a", "b")
    first = _acquire(balancer)
    second = _acquire(balancer)
    assert {first.name, second.name} == {"a", "b"}
    balancer.release(first)
    assert _acquire(balancer).name == first.name


def test_full_and_excluded_backends_are_not_chosen() -> None:
    balancer = _balancer("a", "b", limit=1)
    lease = _acquire(balancer, 0.0, "a")
    assert lease.name == "b"
    assert balancer.choose(0.0, exclude={"a"}) is None
    assert balancer.has_capacity()
    assert not balancer.has_capacity(reserved=1)
    _acquire(balancer)
    assert balancer.choose(0.0) is None
    assert not balancer.has_capacity()
    assert _balancer("a").has_capacity(reserved=1000)


def test_consecutive_failures_eject_and_one_trial_at_a_time_restores() -> None:
    balancer = _balancer("a", "b")
    _fail(balancer, "a", 0.0, times=2)
    lease = _acquire(balancer, 0.0, "b")
    balancer.succeeded(lease, 0.0)  # The failures are no longer consecutive.
    balancer.release(lease)
    _fail(balancer, "a", 0.0, times=2)
    assert {_acquire(balancer).name for _ in range(4)} == {"a", "b"}
    _fail(balancer, "a", 0.0, times=1)
    assert {_acquire(balancer, 1.9).name for _ in range(10)} == {"b"}
    trial = _acquire(balancer, 2.0)
    assert (trial.name, trial.trial) == ("a", True)
    assert {_acquire(balancer, 2.0).name for _ in range(5)} == {"b"}
    assert balancer.choose(2.0, allow_trial=False) is not None
    balancer.release(trial)  # The client disconnected, so the trial has no result.
    trial = _acquire(balancer, 2.0)
    assert trial.name == "a"
    balancer.succeeded(trial, 2.1)
    assert _acquire(balancer, 2.1).name == "a"


def test_ejections_double_up_to_the_maximum_and_start_over_after_a_stable_time() -> None:
    balancer, now, durations = _balancer("a", "b"), 0.0, []
    _fail(balancer, "a", now)
    for _ in range(8):
        until = balancer.backends[0].ejected_until_s
        assert until is not None
        durations.append(until - now)
        now = until
        trial = _acquire(balancer, now)
        assert trial.trial
        assert balancer.failed(trial, now)
        balancer.release(trial)
    assert durations == [2, 4, 8, 16, 32, 60, 60, 60]
    now = balancer.backends[0].ejected_until_s or 0
    trial = _acquire(balancer, now)
    balancer.succeeded(trial, now)
    balancer.release(trial)
    later = now + EJECTION.max_s + 1
    _fail(balancer, "a", later)
    assert balancer.backends[0].ejected_until_s == later + EJECTION.base_s


def test_without_an_available_backend_the_least_bad_one_is_chosen() -> None:
    alone = _balancer("a")
    _fail(alone, "a", 0.0, times=10)
    assert _acquire(alone, 0.1).name == "a"
    balancer = _balancer("a", "b")
    _fail(balancer, "a", 0.0, times=3)
    _fail(balancer, "b", 0.0, times=5)
    assert _acquire(balancer, 0.1).name == "a"
    # Hedged requests are not sent to ejected backends.
    assert balancer.choose(0.1, allow_trial=False) is None


def test_unhealthy_backends_are_not_chosen() -> None:
    balancer = _balancer("a", "b")
    balancer.set_healthy("a", False)
    balancer.set_healthy("unknown", False)
    assert {_acquire(balancer).name for _ in range(5)} == {"b"}
    balancer.set_healthy("a", True)
    assert _acquire(balancer).name == "a"


def test_a_removed_backend_drains_and_may_be_added_again() -> None:
    balancer = _balancer("a", "b")
    lease = _acquire(balancer, 0.0, "b")
    assert balancer.replace({"b": 0, "c": 0}) == ("a",)
    assert Counter(_acquire(balancer).name for _ in range(20)).keys() == {"b", "c"}
    assert balancer.backend("a") is lease.backend
    balancer.replace({"a": 0, "b": 0})
    assert not lease.backend.draining
    assert lease.backend.outstanding == 1
    balancer.replace({"b": 0})
    balancer.release(lease)
    assert balancer.backend("a") is None
    assert balancer.replace({"c": 5}) == ("b",)


@pytest.mark.parametrize("seed", range(3))
def test_outstanding_streams_always_equal_the_open_leases(seed: int) -> None:
    rng = random.Random(seed)
    leases: list[Lease] = []
    balancer = LoadBalancer(dict.fromkeys("abc", 5), rng=rng)
    for step in range(3000):
        now = step / 50
        if rng.random() < 0.5 and (backend := balancer.choose(now)) is not None:
            leases.append(balancer.acquire(backend, now))
        elif leases:
            lease = leases.pop(rng.randrange(len(leases)))
            rng.choice([balancer.failed, balancer.succeeded])(lease, now)
            balancer.release(lease)
        assert sum(one.outstanding for one in balancer.backends) == len(leases)
        assert all(0 <= one.outstanding <= 5 for one in balancer.backends)
        assert balancer.has_capacity() == (len(leases) < 15)


def test_a_conversation_stays_on_its_backend_until_that_is_busy() -> None:
    balancer = _balancer("a", "b", "c", "d")
    first = balancer.choose(0.0, conversation=7)
    assert first is not None
    leases = []
    for _ in range(2):
        chosen = balancer.choose(0.0, conversation=7)
        assert chosen is first
        leases.append(balancer.acquire(chosen, 0.0, 7))
    # A conversation may have two streams on one backend while the backends are nearly idle.
    assert balancer.choose(0.0, conversation=7) is not first
    for lease in leases:
        balancer.release(lease)
    assert first.conversations == {}
    assert balancer.choose(0.0, conversation=7) is first
    for _ in range(20):
        balancer.acquire(first, 0.0)
    assert balancer.choose(0.0, conversation=7) is not first


def test_when_a_backend_leaves_only_its_conversations_move() -> None:
    balancer = _balancer("a", "b", "c", "d")

    def homes() -> dict[int, str]:
        chosen = {key: balancer.choose(0.0, conversation=key) for key in range(1, 401)}
        return {key: backend.name for key, backend in chosen.items() if backend is not None}

    before = homes()
    assert all(70 <= count <= 130 for count in Counter(before.values()).values())
    balancer.replace({"a": 0, "b": 0, "c": 0})
    after = homes()
    assert all(after[key] == name for key, name in before.items() if name != "d")


def test_models_and_priorities_restrict_the_choice() -> None:
    balancer = _balancer("a", "b", "c")
    balancer.set_properties("a", models=frozenset({"m"}), priority=0)
    balancer.set_properties("b", models=frozenset({"m", "n"}), priority=1)
    balancer.set_properties("c", models=frozenset({"o"}), priority=0)
    balancer.set_properties("unknown", models=frozenset(), priority=0)
    chosen = {model: balancer.choose(0.0, model=model) for model in ("m", "n", "o", "p")}
    names = {model: backend and backend.name for model, backend in chosen.items()}
    assert names == {"m": "a", "n": "b", "o": "c", "p": None}
    assert balancer.serves("n")
    assert not balancer.serves("p")
    fallback = balancer.choose(0.0, model="m", exclude={"a"})
    assert fallback is not None
    assert fallback.name == "b"


def test_quick_errors_count_as_load_for_the_usual_duration() -> None:
    balancer = _balancer("a", "b")
    lease = _acquire(balancer, 0.0, "b")
    balancer.ended_with_error(lease, 0.01)
    balancer.release(lease)
    assert {_acquire(balancer, 0.5).name} == {"b"}
    assert lease.backend.load(0.5) == 1
    assert lease.backend.load(2.0) == 0


def test_a_backend_is_set_aside_for_as_long_as_it_has_requested() -> None:
    balancer = _balancer("a", "b")
    lease = _acquire(balancer, 0.0, "b")
    assert balancer.set_aside(lease, 0.0, 5.0)
    assert not balancer.set_aside(lease, 1.0, 1.0)
    balancer.release(lease)
    assert {_acquire(balancer, 4.9).name for _ in range(5)} == {"b"}
    trial = _acquire(balancer, 5.0)
    assert (trial.name, trial.trial) == ("a", True)
    assert not balancer.set_aside(trial, 5.0, 1000.0)
    assert lease.backend.ejected_until_s == 5.0 + EJECTION.max_s
