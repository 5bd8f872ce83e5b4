"""Comparing runs: no difference where there is none, a planted one found, damage refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from support.load_test_model import simulate
from undam.errors import UsageError
from undam.metrics import Change, Comparison, RunInput, compare, parse_run, summarize
from undam.metrics.sections import Sections
from undam.record import Outcome

CALM = {Change.SAME, Change.UNKNOWN}


def _side(name: str = "A", about: dict[str, Any] | None = None, **settings: Any) -> RunInput:
    requests = settings.pop("requests", 200)
    settings = {"events": lambda _: 6, **settings}
    return parse_run(summarize(simulate(requests, **settings)).to_json(about=about), name)


def _changed(found: Comparison) -> set[str]:
    return {metric for metric in found.metrics if found.change_of(metric) not in CALM}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"requests": 120, "events": lambda _: 4},
        {"requests": 100, "events": lambda rng: rng.choice((2, 12)), "concurrency": 50,
         "ttft": lambda rng: 1 + rng.expovariate(0.01)},
    ],
)  # fmt: skip
def test_two_runs_of_one_server_are_called_alike(settings: dict[str, Any]) -> None:
    # Runs that differ only by their seed. Of 720 such pairs of seven kinds, 9 were told apart.
    sides = [_side(seed=seed, **settings) for seed in range(6)]
    pairs = list(combinations(sides, 2))[:15]
    alarms = sum(bool(_changed(compare(a, b, seed=i))) for i, (a, b) in enumerate(pairs))
    assert alarms <= 1


@pytest.mark.parametrize("seed", range(4))
def test_a_fifth_slower_is_found(seed: int) -> None:
    base, slower = _side(seed=seed), _side(seed=seed + 50, shift=1.2)
    found, back = compare(base, slower), compare(slower, base)
    for metric in ("ttft", "itl", "tpot", "e2e"):
        assert found.change_of(metric) is Change.SLOWER
        assert back.change_of(metric) is Change.FASTER
    mean = next(row for row in found.rows if (row.metric, row.statistic) == ("ttft", "mean"))
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low < 1.2 < mean.high
    assert found.regressions(10)
    assert back.regressions(0) == found.regressions(60) == []


@pytest.mark.parametrize("about", [{}, {"concurrency": 10}])
def test_rates_turn_the_other_way(about: dict[str, Any]) -> None:
    slower = _side(requests=600, seed=9, shift=1.6, about=about)
    found = compare(_side(requests=600, about=about), slower)
    rate = next(row for row in found.rows if row.metric == "events_per_second")
    assert rate.ratio == pytest.approx(1 / 1.6, rel=0.1)
    assert (rate.change, rate in found.regressions(10)) == (Change.SLOWER, True)
    assert rate.worse == pytest.approx(1.6, rel=0.1)


def test_the_rate_of_a_closed_loop_is_known_as_its_answers_are() -> None:
    waves: dict[str, Any] = {"requests": 300, "concurrency": 50, "about": {"concurrency": 50}}
    found = compare(_side(**waves), _side(**waves, seed=1))
    rates = [row for row in found.rows if row.metric.endswith("_per_second")]
    assert {row.change for row in rates} == {Change.SAME}
    assert all(row.high is not None and row.high < 1.3 for row in rates)
    few = compare(_side(requests=5, about={"concurrency": 1}), _side())
    assert few.change_of("requests_per_second") is Change.UNKNOWN


def test_less_than_a_percent_is_no_difference() -> None:
    exact: dict[str, Any] = {"gap": lambda rng: 20.0, "ttft": lambda rng: 200.0}
    found = compare(_side(**exact), _side(**exact, shift=1.008))
    assert _changed(found) == set()
    assert "e2e" in _changed(compare(_side(**exact), _side(**exact, shift=1.03)))


def test_faster_at_the_median_and_slower_in_the_tail_is_both() -> None:
    mixed = _side(requests=400, ttft=lambda rng: rng.choice((100, 100, 100, 900)))
    found = compare(_side(requests=400), mixed)
    assert found.change_of("ttft") is Change.MIXED


def test_failures_beyond_chance_are_a_regression_at_any_threshold() -> None:
    def failing(n: int, of: int = 200) -> RunInput:
        return _side(requests=of, failing=dict.fromkeys(range(n), Outcome.ERROR))

    found = compare(failing(0), failing(20))
    assert found.change_of("failures") is Change.MORE
    assert [(row.metric, row.worse) for row in found.regressions(1000)] == [("failures", 1.0)]
    assert compare(failing(20), failing(0)).change_of("failures") is Change.FEWER
    assert compare(failing(1), failing(2)).change_of("failures") is Change.SAME
    assert compare(_side(requests=0), failing(1)).change_of("failures") is Change.UNKNOWN


def test_too_few_are_not_judged() -> None:
    found = compare(_side(requests=7), _side(requests=7, shift=3))
    latencies = {row.change for row in found.rows if row.metric in {"ttft", "itl", "e2e"}}
    assert latencies == {Change.UNKNOWN}
    few = compare(_side(requests=90), _side(requests=90))
    tail = {row.statistic: row.change for row in few.rows if row.metric == "ttft"}
    assert (tail["p50"], tail["p99"]) == (Change.SAME, Change.UNKNOWN)


def test_a_metric_without_values_is_not_judged() -> None:
    one = _side(events=lambda _: 1)
    assert compare(one, one).change_of("itl") is Change.UNKNOWN
    # Answers that cost nothing have no ratio, and no logarithm.
    free = _side(ttft=lambda rng: 0.0, sent_late_ms=0.0)
    assert compare(free, free).change_of("ttft") is Change.UNKNOWN


def test_the_same_seed_gives_the_same_answer() -> None:
    a, b = _side(requests=60), _side(requests=60, seed=1)
    assert compare(a, b).to_json() == compare(a, b).to_json()


def test_notes_say_what_differs_beforehand() -> None:
    a = _side(about={"load": "10 at a time", "concurrency": 10, "url": "http://a"})
    b = _side(
        "B", events=lambda _: 9, starved_ms=60, failing={1: Outcome.ERROR},
        about={"load": "100 at a time", "concurrency": 100, "url": "http://a", "model": None,
               "interrupted": True, "lost_workers": [{}]},
    )  # fmt: skip
    notes = "\n".join(compare(a, b).notes)
    for said in (
        "different load: 10 at a time against 100 at a time",
        "answers of different length: 5.0 gaps on average against 8.0",
        "B is in doubt: this client was late",
        "B: 1 of 200 requests failed or broke off",
        "B was interrupted",
        "B lost workers",
    ):
        assert said in notes
    assert "concurrency" not in notes
    bare = compare(_side(about={"concurrency": 1}), _side(about={"findings": 5}))
    assert bare.notes == ("different concurrency: 1 against not told",)
    blind = [replace(one, stamped=False) for one in simulate(200)]
    told = parse_run(summarize(blind).to_json(), "B")
    assert "different clocks: kernel against user" in compare(_side(), told).notes
    nothing = compare(_side(requests=0), _side(requests=0))
    assert nothing.notes == ()


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "edit",
    [
        lambda told: told.pop("timeline"),
        lambda told: told.update(requests=-1),
        lambda told: told.update(requests=True),
        lambda told: told.update(events_per_second="5"),
        lambda told: told.update(events_per_second=float("nan")),
        lambda told: told["ttft_ms"].update(p50=-1.0),
        lambda told: told["ttft_ms"].update(p50=1e300),
        lambda told: told["blocks"].update(rows=5),
        lambda told: told["blocks"]["rows"][0].update(itl={}),
        lambda told: told["blocks"].update(rows=told["blocks"]["rows"] * 9),
        lambda told: told["blocks"]["rows"][0].update(itl=told["histograms"]["ttft"]),
        lambda told: [row.update(itl=_huge()) for row in told["blocks"]["rows"]],
        lambda told: told["timeline"].update(width_ms=0),
        lambda told: told["timeline"]["rows"].reverse(),
        lambda told: told["timeline"].update(width_ms=1e-6),
        lambda told: told["timeline"]["rows"][0].clear(),
    ],
)
def test_a_damaged_result_is_refused_by_name(edit: Edit) -> None:
    told = copy.deepcopy(_TOLD)
    edit(told)
    with pytest.raises(UsageError, match=r"^b\.json is damaged"):
        parse_run(told, "b.json")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (5, "no result"),
        ({"command": "bench", "schema": 2}, "schema 2"),
        ({"command": "bench", "schema": 1}, "no single run"),
    ],
)
def test_what_is_no_run_is_refused(told: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_run(told, "b.json")


def _huge() -> dict[str, Any]:
    return {"bits": 9, "min": 1, "max": 1, "total": 10**19, "counts": f"1:{10**19}"}


_TOLD = json.loads(json.dumps(summarize(simulate(20, events=lambda _: 6)).to_json()))


def test_sections_do_not_depend_on_the_order() -> None:
    class Count:
        def __init__(self) -> None:
            self.n = 0

        def merge(self, other: Count) -> None:
            self.n += other.n

    def filled(places: list[int]) -> Sections[Count]:
        sections = Sections(Count, most=4)
        for place in places:
            sections.at(place).n += 1
        return sections

    def rows(sections: Sections[Count]) -> list[tuple[int, int]]:
        return [(place, row.n) for place, row in sections]

    places = [5, 900, 7, 3, 1 << 62, 6, 901, -3]
    whole = filled(places)
    assert len(whole) <= 4
    assert rows(filled(places[::-1])) == rows(whole)
    for cut in range(len(places) + 1):
        parts = filled(places[:cut]), filled(places[cut:])
        parts[0].__iadd__(parts[1])
        assert rows(parts[0]) == rows(whole)
