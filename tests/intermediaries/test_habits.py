"""Properties of intermediaries: how they buffer, when they cut streams, and their error texts."""

from __future__ import annotations

import pytest

from undam.intermediaries import INTERMEDIARIES, Trouble, intermediary, suspects_of_cut
from undam.intermediaries.habits import HABITS, NEVER_BY_TIMER


def test_those_that_never_use_a_timer_are_known() -> None:
    assert {known.name for known in INTERMEDIARIES} >= NEVER_BY_TIMER
    assert not {habit.name for habit in HABITS if "timer" in habit.releases} & NEVER_BY_TIMER


def test_every_habit_is_that_of_an_entry_with_a_fix() -> None:
    assert len({habit.name for habit in HABITS}) >= 20
    for habit in HABITS:
        known = intermediary(habit.name)
        trouble = Trouble.COMPRESSION if habit.compresses else Trouble.HOLD
        assert known.fix_of(trouble) or known.fix_of(Trouble.HOLD) or known.holds, habit.name


@pytest.mark.parametrize(
    ("after_s", "total", "name"),
    [
        (60.06, False, "nginx"),
        (60.3, False, "apache"),
        (62.0, False, "varnish"),
        (31.3, False, "trafficserver"),
        (15.0, True, "envoy"),
        (125.4, False, "cloudflare"),
        (2.01, True, "krakend"),
        (30.2, False, "nextjs"),
        (10.1, False, "fastly"),
        (60.1, False, "apisix"),
        (30.0, False, "aws-api-gateway"),  # edge-optimised, the default
        (300.4, False, "aws-api-gateway"),  # regional or private
        (300.4, False, "railway"),
        (300.4, False, "ngrok"),
        (300.4, False, "envoy-gateway"),
        (300.2, True, "vercel"),
        (300.2, True, "cloud-run"),
        (300.2, True, "knative"),
        (900.3, True, "railway"),
        (30.1, True, "spring-mvc"),
        (60.0, True, "cowboy"),
    ],
)
def test_a_cut_names_those_with_that_limit(after_s: float, total: bool, name: str) -> None:
    assert name in suspects_of_cut(after_s, total=total)


def test_an_idle_cut_does_not_suggest_a_total_limit() -> None:
    assert "envoy" not in suspects_of_cut(15.0, total=False)
    assert "nginx" not in suspects_of_cut(60.0, total=True)


def test_a_limit_that_someone_must_configure_is_no_default() -> None:
    assert "istio" not in suspects_of_cut(300.0, total=False)
    assert "cloudflare" not in suspects_of_cut(100.0, total=False)


def test_clients_are_no_suspects_of_a_cut() -> None:
    named = {name for total in (True, False) for name in suspects_of_cut(300.0, total=total)}
    assert not {"aiohttp-client", "undici"} & named


@pytest.mark.parametrize("after_s", [0.0, 7.0, 44.0, 80.0])
def test_a_cut_at_no_default_suggests_nothing(after_s: float) -> None:
    assert suspects_of_cut(after_s, total=False) == ()
    assert suspects_of_cut(after_s, total=True) == ()


def test_suspects_of_a_cut_come_in_registry_order() -> None:
    order = [known.name for known in INTERMEDIARIES]
    found = suspects_of_cut(60.0, total=False)
    assert list(found) == sorted(found, key=order.index)
