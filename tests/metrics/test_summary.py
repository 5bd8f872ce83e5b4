"""The summary: what is counted and what is not, exact merging, and the JSON that others rely on."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.load_test_model import MS, START_NS, simulate
from undam.metrics import TIMES, LoadGeneratorStats, Summary, summarize
from undam.metrics.gaps import extract_gaps
from undam.metrics.pattern import MeanAndSpread
from undam.record import ContentRead, Outcome, RequestResult
from undam.timing import quantile

PERCENTILES = ["p50", "p90", "p95", "p99", "p99.9"]
MIXED = [
    *simulate(
        30, per_write=3, failing={2: Outcome.ERROR, 5: Outcome.INCOMPLETE, 7: Outcome.ABANDONED}
    ),
    *(replace(one, number=one.number + 30) for one in simulate(30, starved_ms=45, seed=1)),
    *(replace(one, number=one.number + 60) for one in simulate(10, block_bytes=4096, seed=2)),
    *(replace(one, number=one.number + 70, warmup=True) for one in simulate(5, seed=3)),
    *(
        replace(one, number=one.number + 80, stamped=False)
        for one in simulate(5, stall_ms=400, seed=4)
    ),
]


def _one(*reads: tuple[int, int, int], **more: Any) -> RequestResult:
    """A request of (ms, slack in ms, events) reads."""
    known: dict[str, Any] = {
        "number": 0, "worker": 0, "intended_ns": START_NS, "started_ns": START_NS,
        "ended_ns": START_NS + 10_000 * MS, "outcome": Outcome.COMPLETE, "status": 200,
        "reads": tuple(ContentRead(START_NS + at * MS, slack * MS, 0, n) for at, slack, n in reads),
    }  # fmt: skip
    return RequestResult(**{**known, **more})


def test_exact_gaps_are_the_percentiles_of_a_sorted_list() -> None:
    measured = simulate(40)
    told = summarize(measured).to_json()
    gaps = sorted(b.at_ns - a.at_ns for one in measured for a, b in pairwise(one.reads))
    ttft = sorted(one.ttft_ns or 0 for one in measured)
    for name, values in (("itl_ms", gaps), ("ttft_ms", ttft)):
        row = told[name]
        assert row["count"] == len(values)
        assert row["min"] == round(values[0] / 1e6, 6)
        assert row["max"] == round(values[-1] / 1e6, 6)
        assert row["mean"] == pytest.approx(sum(values) / len(values) / 1e6)
        for key in PERCENTILES:
            exact = quantile(values, float(key[1:]) / 100) / 1e6
            assert exact - 1e-6 <= row[key] <= exact * 1.00013
    assert told["itl_ms"]["bounded"] == told["client"]["uncertain_gaps"] == 0
    assert told["itl_ms"]["lowest"] == told["itl_ms"]["highest"]


@given(st.lists(st.integers(0, 3), min_size=len(MIXED), max_size=len(MIXED)))
@settings(max_examples=4, deadline=None)
def test_merged_workers_are_as_one(workers: list[int]) -> None:
    parts = [Summary() for _ in range(4)]
    for worker, one in zip(workers, MIXED, strict=True):
        parts[worker].add(one)
    merged = Summary()
    for part in parts:
        merged.merge(pickle.loads(pickle.dumps(part)))
    told = merged.to_json()
    assert told == summarize(MIXED).to_json()
    assert told == summarize(random.Random(str(workers)).sample(MIXED, len(MIXED))).to_json()


def test_the_contract_is_kept() -> None:
    client = LoadGeneratorStats(workers=2, cpu_percent=41.0)
    told = summarize(MIXED).to_json(client, about={"url": "http://x"})
    assert json.loads(json.dumps(told)) == told
    assert (told["schema"], told["command"], told["url"]) == (1, "bench", "http://x")
    for name in TIMES:
        assert set(told[f"{name}_ms"]) >= {"count", "min", "mean", *PERCENTILES, "max"}
        for low, high in pairwise(["min", *PERCENTILES, "max"]):
            assert told[f"{name}_ms"][low] <= told[f"{name}_ms"][high]
    for key in ("events_per_second", "tokens_per_second", "requests_per_second"):
        assert told[key] > 0
    assert set(told["events_per_read"]) == {"p50", "p99", "max"}
    assert {"clock", "late_ms_p99", "uncertain_gaps", "cpu_percent"} <= set(told["client"])
    assert (told["client"]["cpu_percent"], told["client"]["workers"]) == (41.0, 2)
    assert told["stalls"] >= 5
    assert [one["after_events"] for one in told["longest_gaps"]].count(32) >= 5
    assert sum(row[4] for row in told["timeline"]["rows"]) == told["events"]
    assert sum(row[2] for row in told["timeline"]["rows"]) == told["requests"]
    assert sum(row["requests"] for row in told["blocks"]["rows"]) == told["requests"]


def test_what_does_not_count_is_counted_apart() -> None:
    told = summarize(MIXED).to_json()
    assert (told["warmup"], told["abandoned"], told["errors"], told["incomplete"]) == (5, 1, 1, 1)
    assert told["requests"] == len(MIXED) - 6
    assert told["e2e_ms"]["count"] == told["complete"] == told["requests"] - 2
    assert told["ttft_ms"]["count"] == told["requests"] - 1
    assert told["errors_by_kind"] == told["incomplete_by_kind"] == {"reset": 1}
    assert told["failed_by_status"] == {"200": 2}
    assert told["messages"] == {"reset": "reset by the peer"}
    assert all(one["outcome"] != "error" for one in told["slowest"])
    assert len(told["slowest"]) == 20


def test_a_run_without_requests_is_null_and_not_zero() -> None:
    told = Summary().to_json()
    assert told["ttft_ms"]["p50"] is told["itl_ms"]["mean"] is told["e2e_ms"]["max"] is None
    assert told["client"]["late_ms_p99"] is told["events_per_read"]["p50"] is None
    assert (told["duration_s"], told["events_per_second"], told["findings"]) == (0, 0, [])
    assert told["tokens_from"] == "events"


def test_gaps_inside_a_write_are_bounded_and_no_zero() -> None:
    # Four at a time, seen the moment they came.
    summary = summarize([_one((100, 1, 4), (180, 1, 4), (260, 1, 4))])
    told = summary.to_json()
    assert (told["itl_ms"]["count"], told["itl_ms"]["min"]) == (2, 80.0)
    assert told["itl_ms"]["bounded"] == 9
    assert told["itl_ms"]["bounded_ms_p99"] == 1.0
    assert told["events_per_read"] == {"p50": 4, "p99": 4, "max": 4}
    assert told["client"]["uncertain_gaps"] == 0


def test_gaps_that_our_lateness_hides_are_spread_and_bounded() -> None:
    # Two in a read that was looked for 30 ms too late, 40 ms after the one before.
    told = summarize([_one((100, 0, 1), (120, 0, 1), (160, 30, 2), (180, 0, 1))]).to_json()
    itl = told["itl_ms"]
    assert told["client"]["uncertain_gaps"] == 2
    assert itl["count"] == 4
    assert itl["mean"] == 20.0, "they add up to what was seen"
    assert (itl["min"], itl["max"]) == (15.0, 25.0)
    assert (itl["lowest"]["min"], itl["lowest"]["p50"]) == (0.0, pytest.approx(10, rel=1e-4))
    assert itl["highest"]["max"] == 40.0
    assert told["events_per_read"]["max"] == 1, "not the hop's doing"


def test_a_slack_that_is_large_but_proves_a_burst_only_blurs_the_gap() -> None:
    told = summarize([_one((100, 0, 1), (200, 20, 5), (300, 20, 5))]).to_json()
    assert (told["client"]["uncertain_gaps"], told["itl_ms"]["bounded"]) == (0, 8)
    assert told["itl_ms"]["lowest"]["min"] == 80.0
    assert told["itl_ms"]["p50"] == 100.0


def test_a_first_read_that_waited_hides_its_gaps() -> None:
    flow = extract_gaps(_one((100, 90, 3), (120, 0, 1)))
    assert (flow.hidden, flow.blurred) == (2, [(0, 30 * MS, 90 * MS, 2)])
    alone = extract_gaps(_one((900, 10, 3)))
    assert (alone.hidden, alone.together) == (0, [(2, 10 * MS)])
    assert extract_gaps(_one((900, 10, 3), started_ns=None)).together == [(2, 10 * MS)]


def test_tokens_are_the_servers_where_it_tells_them() -> None:
    told = _one((100, 0, 1), (200, 0, 1), tokens=11)
    untold = replace(told, tokens=None)
    assert summarize([told]).to_json()["tpot_ms"]["max"] == 10.0
    assert summarize([untold]).to_json()["tpot_ms"]["max"] == 100.0
    rows = [
        ([told], "usage", 11),
        ([untold], "events", 2),
        ([told, untold], "usage, else events", 13),
    ]
    for measured, source, tokens in rows:
        row = summarize(measured).to_json()
        assert (row["tokens_from"], row["tokens"]) == (source, tokens)


def test_what_has_no_content_or_no_sense_is_no_figure() -> None:
    silent = _one(started_ns=None)
    told = summarize([silent]).to_json()
    assert (told["without_content"], told["e2e_ms"]["count"], told["ttft_ms"]["count"]) == (1, 1, 0)
    assert told["slowest"][0]["ttft_ms"] is told["slowest"][0]["send_delay_ms"] is None
    cut = replace(silent, outcome=Outcome.INCOMPLETE)
    assert summarize([cut]).to_json()["without_content"] == 0
    backwards = _one((100, 0, 1), ended_ns=START_NS - MS)
    assert summarize([backwards]).to_json()["e2e_ms"]["count"] == 0
    assert summarize([backwards]).duration_ns == 0
    one_read = summarize([_one((100, 0, 1))]).to_json()
    assert (one_read["itl_ms"]["count"], one_read["slowest"][0]["longest_gap_ms"]) == (0, None)
    assert one_read["tpot_ms"]["count"] == 0


def test_retry_after_is_told() -> None:
    refused = [
        _one(outcome=Outcome.ERROR, kind="status-429", status=429, retry_after_s=wait)
        for wait in (2.0, 30.0, None)
    ]
    told = summarize([*refused, _one(outcome=Outcome.ERROR, kind="refused", status=None)]).to_json()
    assert told["retry_after"] == {"count": 2, "min_s": 2.0, "max_s": 30.0}
    assert told["errors_by_kind"] == {"refused": 1, "status-429": 3}
    assert told["failed_by_status"] == {"429": 3}


def test_memory_and_the_json_do_not_grow_with_the_run() -> None:
    sizes = []
    for requests in (300, 1200):
        told = summarize(simulate(requests, events=lambda _: 12)).to_json()
        del told["histograms"]
        sizes.append(len(json.dumps(told)))
        assert len(told["blocks"]["rows"]) <= 64
        assert len(told["timeline"]["rows"]) <= 200
    assert sizes[1] < 2.5 * sizes[0]


def test_the_spread_of_nothing_is_endless() -> None:
    assert (MeanAndSpread().mean, MeanAndSpread().spread) == (0.0, float("inf"))
