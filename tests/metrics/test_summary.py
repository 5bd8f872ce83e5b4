"""Summaries: correct counts, exact merging, and the documented JSON fields."""

from __future__ import annotations

import json
import pickle
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from operator import attrgetter
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.load_test_model import MS, START_NS, simulate
from support.work import assert_linear
from undam.metrics import TIMES, LoadGeneratorStats, Summary, summarize
from undam.metrics.aggregate import Aggregate
from undam.metrics.gaps import extract_gaps
from undam.metrics.merging import SUM, merge_fields, merge_rule
from undam.metrics.pattern import BurstPattern, MeanAndSpread
from undam.metrics.time_buckets import Block, TimeBucket
from undam.record import ContentRead, Outcome, RequestResult
from undam.record.request_result import CANCELLED, IntegrityCounts
from undam.timing import quantile

PERCENTILES = ["p50", "p90", "p95", "p99", "p99.9"]


def _unusual() -> list[RequestResult]:
    """Return requests that set the fields that the other sample requests leave empty."""
    plain, empty, stepped, refused, whole = (
        replace(one, number=90 + i) for i, one in enumerate(simulate(5, seed=5))
    )
    near = plain.reads[0]._replace(at_ns=plain.reads[0].at_ns + 10_000)
    back = stepped.reads[5]._replace(at_ns=stepped.reads[5].at_ns - 10**9)
    return [
        replace(plain, tokens=70, heartbeats=3, empties=2),
        replace(plain, number=95, reads=(plain.reads[0], near, *plain.reads[1:])),
        replace(empty, reads=()),
        replace(stepped, reads=(*stepped.reads[:5], back, *stepped.reads[6:])),
        replace(
            refused, reads=(), outcome=Outcome.ERROR, kind="status-429", retry_after_s=2.0,
            status=429,
        ),
        replace(whole, reads=(whole.reads[-1]._replace(events=64),)),
        replace(empty, number=96, reads=(), outcome=Outcome.INCOMPLETE, kind="timeout"),
        replace(plain, number=100, outcome=Outcome.INCOMPLETE, kind="timeout"),
        replace(empty, number=99, reads=(), outcome=Outcome.ABANDONED, kind=CANCELLED),
        replace(
            plain, number=97, answer_ns=plain.reads[9].at_ns, prompt_tokens=40, cached_tokens=16,
            reasoning_tokens=9,
            integrity=IntegrityCounts("stamps", 40, lost=2, first=(("lost", "event 3"),)),
        ),
        replace(
            plain, number=98, head_ns=plain.reads[0].at_ns - 45 * MS,
            reads=(plain.reads[0]._replace(events=3, late_ns=0), *plain.reads[1:]),
        ),
    ]  # fmt: skip


USUAL = [
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
MIXED = [*USUAL, *_unusual()]


def _one(*reads: tuple[int, int, int], **more: Any) -> RequestResult:
    """Return a request whose reads are given as (ms, slack in ms, events)."""
    fields: dict[str, Any] = {
        "number": 0, "worker": 0, "intended_ns": START_NS, "started_ns": START_NS,
        "ended_ns": START_NS + 10_000 * MS, "outcome": Outcome.COMPLETE, "status": 200,
        "reads": tuple(ContentRead(START_NS + at * MS, slack * MS, 0, n) for at, slack, n in reads),
    }  # fmt: skip
    return RequestResult(**{**fields, **more})


def test_percentiles_of_exact_gaps_equal_those_of_a_sorted_list() -> None:
    measured = simulate(40)
    result = summarize(measured).to_json()
    gaps = sorted(b.at_ns - a.at_ns for one in measured for a, b in pairwise(one.reads))
    ttft = sorted(one.ttft_ns or 0 for one in measured)
    for name, values in (("itl_ms", gaps), ("ttft_ms", ttft)):
        row = result[name]
        assert row["count"] == len(values)
        assert row["min"] == round(values[0] / 1e6, 6)
        assert row["max"] == round(values[-1] / 1e6, 6)
        assert row["mean"] == pytest.approx(sum(values) / len(values) / 1e6)
        for key in PERCENTILES:
            exact = quantile(values, float(key[1:]) / 100) / 1e6
            assert exact - 1e-6 <= row[key] <= exact * 1.00013
    assert result["itl_ms"]["bounded"] == result["client"]["uncertain_gaps"] == 0
    assert result["itl_ms"]["lowest"] == result["itl_ms"]["highest"]


@pytest.mark.seconds
@given(st.lists(st.integers(0, 3), min_size=len(MIXED), max_size=len(MIXED)))
@settings(max_examples=4, deadline=None)
def test_merged_workers_equal_one_worker(workers: list[int]) -> None:
    parts = [Summary() for _ in range(4)]
    for worker, one in zip(workers, MIXED, strict=True):
        parts[worker].add(one)
    merged = Summary()
    for part in parts:
        merged.merge(pickle.loads(pickle.dumps(part)))
    result = merged.to_json()
    assert result == summarize(MIXED).to_json()
    assert result == summarize(random.Random(str(workers)).sample(MIXED, len(MIXED))).to_json()


def test_json_contract() -> None:
    client = LoadGeneratorStats(workers=2, cpu_percent=41.0)
    result = summarize(MIXED).to_json(client, about={"url": "http://x"})
    assert json.loads(json.dumps(result)) == result
    assert (result["schema"], result["command"], result["url"]) == (1, "bench", "http://x")
    for name in TIMES:
        assert set(result[f"{name}_ms"]) >= {"count", "min", "mean", *PERCENTILES, "max"}
        for low, high in pairwise(["min", *PERCENTILES, "max"]):
            assert result[f"{name}_ms"][low] <= result[f"{name}_ms"][high]
    for key in ("events_per_second", "tokens_per_second", "requests_per_second"):
        assert result[key] > 0
    assert set(result["events_per_read"]) == {"p50", "p99", "max"}
    assert {"clock", "late_ms_p99", "uncertain_gaps", "cpu_percent"} <= set(result["client"])
    assert (result["client"]["cpu_percent"], result["client"]["workers"]) == (41.0, 2)
    assert result["stalls"] >= 5
    assert [one["after_events"] for one in result["longest_gaps"]].count(32) >= 5
    assert sum(row[4] for row in result["timeline"]["rows"]) == result["events"]
    assert sum(row[2] for row in result["timeline"]["rows"]) == result["requests"]
    assert sum(row["requests"] for row in result["blocks"]["rows"]) == result["requests"]


def test_excluded_requests_are_counted_separately() -> None:
    result = summarize(USUAL).to_json()
    assert (result["warmup"], result["abandoned"], result["errors"], result["incomplete"]) == (
        5,
        1,
        1,
        1,
    )
    assert result["requests"] == len(USUAL) - 6
    assert result["e2e_ms"]["count"] == result["complete"] == result["requests"] - 2
    assert result["ttft_ms"]["count"] == result["requests"] - 1
    assert result["errors_by_kind"] == result["incomplete_by_kind"] == {"reset": 1}
    assert result["failed_by_status"] == {"200": 2}
    assert result["messages"] == {"reset": "reset by the peer"}
    assert all(one["outcome"] != "error" for one in result["slowest"])
    assert len(result["slowest"]) == 20


def test_run_without_requests_has_null_metrics() -> None:
    result = Summary().to_json()
    assert result["ttft_ms"]["p50"] is result["itl_ms"]["mean"] is result["e2e_ms"]["max"] is None
    assert result["client"]["late_ms_p99"] is result["events_per_read"]["p50"] is None
    assert (result["duration_s"], result["events_per_second"], result["findings"]) == (0, 0, [])
    assert result["tokens_from"] == "events"


def test_gaps_inside_a_write_are_bounded_instead_of_zero() -> None:
    # Each read contains four events and happens immediately after their arrival.
    summary = summarize([_one((100, 1, 4), (180, 1, 4), (260, 1, 4))])
    result = summary.to_json()
    assert (result["itl_ms"]["count"], result["itl_ms"]["min"]) == (2, 80.0)
    assert result["itl_ms"]["bounded"] == 9
    assert result["itl_ms"]["bounded_ms_p99"] == 1.0
    assert result["events_per_read"] == {"p50": 4, "p99": 4, "max": 4}
    assert result["client"]["uncertain_gaps"] == 0


def test_gaps_hidden_by_lateness_have_estimates_and_bounds() -> None:
    # One read contains two events, has 30 ms slack, and follows 40 ms after the previous read.
    result = summarize([_one((100, 0, 1), (120, 0, 1), (160, 30, 2), (180, 0, 1))]).to_json()
    itl = result["itl_ms"]
    assert result["client"]["uncertain_gaps"] == 2
    assert itl["count"] == 4
    assert itl["mean"] == 20.0, "the sum of the gaps is kept"
    assert (itl["min"], itl["max"]) == (15.0, 25.0)
    assert (itl["lowest"]["min"], itl["lowest"]["p50"]) == (0.0, pytest.approx(10, rel=1e-4))
    assert itl["highest"]["max"] == 40.0
    assert result["events_per_read"]["max"] == 1, "uncertain reads are excluded"


def test_burst_with_large_slack_makes_only_its_gap_inexact() -> None:
    result = summarize([_one((100, 0, 1), (200, 20, 5), (300, 20, 5))]).to_json()
    assert (result["client"]["uncertain_gaps"], result["itl_ms"]["bounded"]) == (0, 8)
    assert result["itl_ms"]["lowest"]["min"] == 80.0
    assert result["itl_ms"]["p50"] == 100.0


def test_first_read_with_large_slack_hides_its_gaps() -> None:
    gaps = extract_gaps(_one((100, 90, 3), (120, 0, 1)))
    assert (gaps.uncertain, gaps.intervals) == (2, [(0, 30 * MS, 90 * MS, 2)])
    alone = extract_gaps(_one((900, 10, 3)))
    assert (alone.uncertain, alone.batched) == (0, [(2, 10 * MS)])
    assert extract_gaps(_one((900, 10, 3), started_ns=None)).batched == [(2, 10 * MS)]


def test_tokens_are_from_usage_if_the_server_reports_it() -> None:
    with_usage = _one((100, 0, 1), (200, 0, 1), tokens=11)
    without_usage = replace(with_usage, tokens=None)
    # Each event counts as 5.5 tokens; TPOT excludes the tokens of the first event.
    assert summarize([with_usage]).to_json()["tpot_ms"]["max"] == pytest.approx(100 / 5.5, rel=1e-4)
    assert summarize([without_usage]).to_json()["tpot_ms"]["max"] == 100.0
    rows = [
        ([with_usage], "usage", 11),
        ([without_usage], "events", 2),
        ([with_usage, without_usage], "usage, else events", 13),
    ]
    for results, source, tokens in rows:
        row = summarize(results).to_json()
        assert (row["tokens_from"], row["tokens"]) == (source, tokens)


def test_missing_and_inconsistent_values_are_excluded() -> None:
    silent = _one(started_ns=None)
    result = summarize([silent]).to_json()
    assert (result["without_content"], result["e2e_ms"]["count"], result["ttft_ms"]["count"]) == (
        1,
        1,
        0,
    )
    assert result["slowest"][0]["ttft_ms"] is result["slowest"][0]["send_delay_ms"] is None
    cut = replace(silent, outcome=Outcome.INCOMPLETE)
    assert summarize([cut]).to_json()["without_content"] == 0
    backwards = _one((100, 0, 1), ended_ns=START_NS - MS)
    assert summarize([backwards]).to_json()["e2e_ms"]["count"] == 0
    assert summarize([backwards]).duration_ns == 0
    one_read = summarize([_one((100, 0, 1))]).to_json()
    assert (one_read["itl_ms"]["count"], one_read["slowest"][0]["longest_gap_ms"]) == (0, None)
    assert one_read["tpot_ms"]["count"] == 0


def test_retry_after_is_reported() -> None:
    refused = [
        _one(outcome=Outcome.ERROR, kind="status-429", status=429, retry_after_s=wait)
        for wait in (2.0, 30.0, None)
    ]
    result = summarize(
        [*refused, _one(outcome=Outcome.ERROR, kind="refused", status=None)]
    ).to_json()
    assert result["retry_after"] == {"count": 2, "min_s": 2.0, "max_s": 30.0}
    assert result["errors_by_kind"] == {"refused": 1, "status-429": 3}
    assert result["failed_by_status"] == {"429": 3}


@pytest.mark.seconds
def test_size_of_the_json_is_bounded() -> None:
    sizes = []
    for requests in (300, 1200):
        result = summarize(simulate(requests, events=lambda _: 12)).to_json()
        del result["histograms"]
        sizes.append(len(json.dumps(result)))
        assert len(result["blocks"]["rows"]) <= 64
        assert len(result["timeline"]["rows"]) <= 200
    assert sizes[1] < 2.5 * sizes[0]


def test_spread_without_values_is_infinite() -> None:
    assert (MeanAndSpread().mean, MeanAndSpread().spread) == (0.0, float("inf"))


def _mergeable_classes() -> list[type]:
    return [Aggregate, BurstPattern, MeanAndSpread, Block, TimeBucket]


@pytest.mark.parametrize("cls", _mergeable_classes())
def test_every_field_has_a_merge_rule(cls: type) -> None:
    for one in fields(cls):
        assert callable(merge_rule(one)), one.name


def test_field_without_a_merge_rule_cannot_be_merged() -> None:
    @dataclass
    class Forgetful:
        kept: int = field(default=0, metadata=SUM)
        forgotten: int = 0

    with pytest.raises(KeyError):
        merge_fields(Forgetful(), Forgetful())


def test_the_sample_sets_every_field() -> None:
    # test_merged_workers_equal_one_worker cannot check a field that the sample leaves empty.
    empty, full = Summary(), summarize(MIXED)
    for one, other in ((empty, full), (empty.pattern, full.pattern)):
        equal = [
            part.name
            for part in fields(one)
            if pickle.dumps(getattr(one, part.name)) == pickle.dumps(getattr(other, part.name))
        ]
        assert equal == []


@pytest.mark.seconds
@pytest.mark.parametrize(
    "name",
    [
        *(one.name for one in fields(Aggregate)),
        *(f"pattern.{one.name}" for one in fields(BurstPattern)),
    ],
)
def test_merging_changes_every_field(name: str) -> None:
    merged, full, value = Summary(), summarize(MIXED), attrgetter(name)
    merged.merge(pickle.loads(pickle.dumps(full)))
    assert pickle.dumps(value(merged)) != pickle.dumps(value(Summary()))


@pytest.mark.parametrize("kind", ["timeout", "reset"])
def test_stream_that_stops_until_the_timeout_is_a_stall(kind: str) -> None:
    hanging = _one(
        (100, 0, 1), (120, 0, 1), kind=kind, outcome=Outcome.INCOMPLETE,
        ended_ns=START_NS + 3_000 * MS,
    )  # fmt: skip
    summary = summarize([*simulate(20), hanging])
    result = summary.to_json()
    is_timeout = kind == "timeout"
    assert result["itl_ms"]["timed_out"] == is_timeout
    assert (result["itl_ms"]["max"] == 2880) is is_timeout
    assert (result["stalls"], result["stalled_answers"]) == (is_timeout, is_timeout)
    found = [one.code for one in summary.findings()]
    assert found == ["UD609", "UD502"] if is_timeout else ["UD609"]


def test_last_wait_is_left_out_if_the_clock_was_set_back() -> None:
    timeout: dict[str, Any] = {"kind": "timeout", "outcome": Outcome.INCOMPLETE}
    before = _one((100, 0, 1), (120, 0, 1), ended_ns=START_NS + 110 * MS, **timeout)
    during = _one((120, 0, 1), (100, 0, 1), **timeout)
    assert summarize([before, during]).timed_out_gaps == 0
    assert summarize([before]).times("itl").max == 20 * MS
    longer = _one((100, 0, 1), (900, 0, 1), ended_ns=START_NS + 1000 * MS, **timeout)
    assert summarize([longer]).long_gaps[0].gap_ns == 800 * MS


def test_cost_of_a_response_is_linear_in_its_length() -> None:
    def long_response(events: int) -> Summary:
        # Every tenth read was delayed by the load generator and contained three events.
        reads = [
            (20 * at, 60 if at % 10 == 0 else 1, 3 if at % 10 == 0 else 1)
            for at in range(1, events + 1)
        ]
        return summarize([_one(*reads, ended_ns=START_NS + 21 * (events + 1) * MS)])

    assert_linear(long_response, 500)
    # Scanning all reads again for each burst would need few calls but many steps.
    assert _steps_of(lambda: long_response(8000)) < 14 * _steps_of(lambda: long_response(1000))


def _steps_of(run: Callable[[], object]) -> int:
    """Return how many lines and generator steps ``run`` executes."""
    steps = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return steps
