"""Comparing runs: no false alarms, known differences are found, and invalid input is rejected."""

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
from undam.metrics.comparison.notes import notes_on
from undam.record import Outcome

UNCHANGED = {Change.SAME, Change.UNKNOWN}


def _run(name: str = "A", about: dict[str, Any] | None = None, **settings: Any) -> RunInput:
    requests = settings.pop("requests", 200)
    settings = {"events": lambda _: 6, **settings}
    return parse_run(summarize(simulate(requests, **settings)).to_json(about=about), name)


def _changed(found: Comparison) -> set[str]:
    return {metric for metric in found.metrics if found.change_of(metric) not in UNCHANGED}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"requests": 120, "events": lambda _: 4},
        {"requests": 100, "events": lambda rng: rng.choice((2, 12)), "concurrency": 50,
         "ttft": lambda rng: 1 + rng.expovariate(0.01)},
    ],
)  # fmt: skip
def test_two_runs_of_one_server_have_no_difference(settings: dict[str, Any]) -> None:
    # The runs differ only in their seed.
    runs = [_run(seed=seed, **settings) for seed in range(6)]
    pairs = list(combinations(runs, 2))[:15]
    alarms = sum(bool(_changed(compare(a, b, seed=i))) for i, (a, b) in enumerate(pairs))
    assert alarms <= 1


@pytest.mark.seconds
@pytest.mark.parametrize("seed", range(4))
def test_20_percent_slower_is_found(seed: int) -> None:
    base, slower = _run(seed=seed), _run(seed=seed + 50, shift=1.2)
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


@pytest.mark.seconds
@pytest.mark.parametrize("about", [{}, {"concurrency": 10}])
def test_lower_rate_is_slower(about: dict[str, Any]) -> None:
    slower = _run(requests=600, seed=9, shift=1.6, about=about)
    found = compare(_run(requests=600, about=about), slower)
    rate = next(row for row in found.rows if row.metric == "events_per_second")
    assert rate.ratio == pytest.approx(1 / 1.6, rel=0.1)
    assert (rate.change, rate in found.regressions(10)) == (Change.SLOWER, True)
    assert rate.worse == pytest.approx(1.6, rel=0.1)


@pytest.mark.seconds
def test_noise_of_a_closed_loop_rate() -> None:
    waves: dict[str, Any] = {"requests": 300, "concurrency": 50, "about": {"concurrency": 50}}
    found = compare(_run(**waves), _run(**waves, seed=1))
    rates = [row for row in found.rows if row.metric.endswith("_per_second")]
    assert {row.change for row in rates} == {Change.SAME}
    assert all(row.high is not None and row.high < 1.5 for row in rates)
    few = compare(_run(requests=5, about={"concurrency": 1}), _run())
    assert few.change_of("requests_per_second") is Change.UNKNOWN


@pytest.mark.seconds
def test_less_than_one_percent_is_no_difference() -> None:
    exact: dict[str, Any] = {"gap": lambda rng: 20.0, "ttft": lambda rng: 200.0}
    found = compare(_run(**exact), _run(**exact, shift=1.008))
    assert _changed(found) == set()
    assert "e2e" in _changed(compare(_run(**exact), _run(**exact, shift=1.03)))


@pytest.mark.seconds
def test_faster_median_and_slower_tail_are_both_reported() -> None:
    mixed = _run(requests=400, ttft=lambda rng: rng.choice((100, 100, 100, 900)))
    found = compare(_run(requests=400), mixed)
    assert found.change_of("ttft") is Change.MIXED


@pytest.mark.seconds
def test_more_failures_are_a_regression_at_any_threshold() -> None:
    def failing(n: int, of: int = 200) -> RunInput:
        return _run(requests=of, failing=dict.fromkeys(range(n), Outcome.ERROR))

    found = compare(failing(0), failing(20))
    assert found.change_of("failures") is Change.MORE
    assert [(row.metric, row.worse) for row in found.regressions(1000)] == [("failures", 1.0)]
    assert compare(failing(20), failing(0)).change_of("failures") is Change.FEWER
    assert compare(failing(1), failing(2)).change_of("failures") is Change.SAME
    assert compare(_run(requests=0), failing(1)).change_of("failures") is Change.UNKNOWN


@pytest.mark.seconds
def test_too_few_requests_are_unknown() -> None:
    found = compare(_run(requests=7), _run(requests=7, shift=3))
    latencies = {row.change for row in found.rows if row.metric in {"ttft", "itl", "e2e"}}
    assert latencies == {Change.UNKNOWN}
    few = compare(_run(requests=90), _run(requests=90))
    tail = {row.statistic: row.change for row in few.rows if row.metric == "ttft"}
    assert (tail["p50"], tail["p99"]) == (Change.SAME, Change.UNKNOWN)


@pytest.mark.seconds
def test_metric_without_values_is_unknown() -> None:
    one = _run(events=lambda _: 1)
    assert compare(one, one).change_of("itl") is Change.UNKNOWN
    # The ratio to a TTFT of zero is undefined.
    zero = _run(ttft=lambda rng: 0.0, sent_late_ms=0.0)
    assert compare(zero, zero).change_of("ttft") is Change.UNKNOWN


@pytest.mark.seconds
def test_same_seed_gives_the_same_result() -> None:
    a, b = _run(requests=60), _run(requests=60, seed=1)
    assert compare(a, b).to_json() == compare(a, b).to_json()


@pytest.mark.seconds
def test_notes_list_different_conditions() -> None:
    a = _run(about={"load": "10 at a time", "concurrency": 10, "url": "http://a"})
    b = _run(
        "B", events=lambda _: 9, starved_ms=60, failing={1: Outcome.ERROR},
        about={"load": "100 at a time", "concurrency": 100, "url": "http://a", "model": None,
               "interrupted": True, "lost_workers": [{}]},
    )  # fmt: skip
    notes = "\n".join(compare(a, b).notes)
    for note in (
        "different load: 10 at a time against 100 at a time",
        "responses of different length: 5.0 gaps on average against 8.0",
        "B is not reliable: ",
        "B: 1 of 200 requests failed",
        "B was interrupted",
        "B lost workers",
    ):
        assert note in notes
    assert "concurrency" not in notes
    bare = compare(_run(about={"concurrency": 1}), _run(about={"findings": 5}))
    assert bare.notes == ("different concurrency: 1 against unknown",)
    unstamped = [replace(one, stamped=False) for one in simulate(200)]
    result = parse_run(summarize(unstamped).to_json(), "B")
    assert "different clocks: kernel against user" in compare(_run(), result).notes
    documents, streams = (_run(name, {"streams": name == "A"}, requests=1) for name in "BA")
    note = "B requested documents and A streams, so their TTFT has different meanings"
    for pair in ((documents, streams), (streams, documents)):
        assert note in list(notes_on(*pair))
    assert note not in list(notes_on(streams, _run("B", requests=1)))
    nothing = compare(_run(requests=0), _run(requests=0))
    assert nothing.notes == ()


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "edit",
    [
        lambda result: result.pop("timeline"),
        lambda result: result.update(requests=-1),
        lambda result: result.update(requests=True),
        lambda result: result.update(events_per_second="5"),
        lambda result: result.update(events_per_second=float("nan")),
        lambda result: result["ttft_ms"].update(p50=-1.0),
        lambda result: result["ttft_ms"].update(p50=1e300),
        lambda result: result["blocks"].update(rows=5),
        lambda result: result["blocks"]["rows"][0].update(itl={}),
        lambda result: result["blocks"].update(rows=result["blocks"]["rows"] * 9),
        lambda result: result["blocks"]["rows"][0].update(itl=result["histograms"]["ttft"]),
        lambda result: [row.update(itl=_huge()) for row in result["blocks"]["rows"]],
        lambda result: result["timeline"].update(width_ms=0),
        lambda result: result["timeline"]["rows"].reverse(),
        lambda result: result["timeline"].update(width_ms=1e-6),
        lambda result: result["timeline"]["rows"][0].clear(),
    ],
)
def test_error_names_the_damaged_result(edit: Edit) -> None:
    result = copy.deepcopy(_RESULT)
    edit(result)
    with pytest.raises(UsageError, match=r"^b\.json is damaged"):
        parse_run(result, "b.json")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (5, "not a result"),
        ({"command": "bench", "schema": 2}, "schema 2"),
        ({"command": "bench", "schema": 1}, "does not contain a single run"),
    ],
)
def test_input_that_is_not_a_run_is_rejected(result: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_run(result, "b.json")


def _huge() -> dict[str, Any]:
    return {"bits": 9, "min": 1, "max": 1, "total": 10**19, "counts": f"1:{10**19}"}


_RESULT = json.loads(json.dumps(summarize(simulate(20, events=lambda _: 6)).to_json()))
