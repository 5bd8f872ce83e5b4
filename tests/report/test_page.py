"""Load-test page: content, order, accessibility, and escaping of hostile text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from support.parsed_page import ParsedPage
from support.random_load_test import ALL_FAULTS, HOSTILE, MS, START_NS, random_load_test
from undam.metrics import LoadGeneratorStats, summarize
from undam.record import ContentRead, Outcome, RequestResult
from undam.report import render_page
from undam.report.axes import for_durations, linear, percentile_position, percentile_ticks
from undam.report.curve import HistogramCurve, PercentileCurve, bounds_of, curve_of
from undam.report.distribution import distribution
from undam.report.dots import MAX_DOTS, thin_out
from undam.report.markup import Markup, element, escape, format_count, format_ms, px
from undam.report.timeline import most_by_pixel
from undam.report.waterfall import phases, slowest, stalls, waterfall
from undam.timing import Histogram

_ALL = {"ttft", "itl", "timeline", "rates", "gaps", "waterfall"}


def _one(**changes: Any) -> RequestResult:
    reads = tuple(ContentRead(START_NS + at * MS, 0, 0, 1) for at in (200, 220, 240))
    base = RequestResult(
        number=0, worker=0, intended_ns=START_NS, started_ns=START_NS + MS, status=200,
        head_ns=START_NS + 3 * MS, ended_ns=START_NS + 250 * MS, outcome=Outcome.COMPLETE,
        reads=reads,
    )  # fmt: skip
    return replace(base, **changes)


def _summary(run: Sequence[RequestResult], **about: object) -> dict[str, Any]:
    return summarize(run).to_json(LoadGeneratorStats(workers=1, cpu_percent=41.0), about=about)


@pytest.fixture(scope="module")
def faulty() -> list[RequestResult]:
    return random_load_test(1000, ALL_FAULTS, warmup=20)


@pytest.fixture(scope="module")
def summary(faulty: list[RequestResult]) -> dict[str, Any]:
    return _summary(faulty, url="http://x/", load="closed loop of 50", host="a")


@pytest.mark.seconds
def test_page_of_a_run_with_faults(faulty: list[RequestResult], summary: dict[str, Any]) -> None:
    fix = {"where": "undam bench", "text": "--workers 2"}
    findings = [
        {"code": "UD901", "slug": "client", "severity": "warning", "message": "late", "fix": fix},
        {"code": "UD202", "slug": "bursts", "severity": "odd", "message": "four a write"},
    ]
    slos = [
        {"slo": "ttft_p99<1s", "met": True, "value": 411.337, "unit": "ms", "limit": 1000.0,
         "margin_percent": 58.9},
        {"slo": "ttft_p50<100ms", "met": False, "value": 200.0, "unit": "ms", "limit": 100.0,
         "margin_percent": -100.0, "doubtful": True},
        {"slo": "goodput>99%", "met": False, "value": None, "unit": "%", "limit": 99.0},
        {"slo": "e2e_p99<9s", "met": False, "value": None, "unit": "ms", "limit": 9000.0,
         "failed_requests": 20},
        {"slo": "errors<=0", "met": False, "value": 15.0, "unit": "", "limit": 0.0},
    ]  # fmt: skip
    about = {"arguments": ["undam", "bench"], "cores": {"model": "x", "count": 2}, "schema": 1}
    html = render_page({**summary, "findings": findings, "slo": slos}, faulty, about)
    read = ParsedPage(html)
    assert len(html.encode()) < 2_000_000
    assert read.ids("svg") == _ALL
    assert read.text.index("--workers 2") < read.text.index("Time to first token")
    for text in (
        "980 requests in", "closed loop of 50", "Band: bounds of gaps", "status-429",
        "undam bench", "model x, count 2", "timestampskernel", "of status 429", "Retry-After",
        "warm-up (excluded)20", "limit 1.00 s, measured 411 ms, margin +59 %",
        "margin -100 %, the load generator could have changed this", "20 failed requests",
        "nothing was measured", "measured 15", "Slowest requests, by E2E",
        "Not valid without these caveats: UD907, UD610",
    ):  # fmt: skip
        assert text in read.text
    assert read.text.index("limit 1.00 s") < read.text.index("TTFT p50"), "objectives come first"
    assert {"met", "missed", "limit", "curve offered", "curve served"} <= set(read.classes)
    shown = ("dot", "dot cut", "warm", "cross", "cross cut", "w-stall", "g-together", "band")
    assert set(shown) <= set(read.classes)
    assert {"g-uncertain", "g-stall", "g-alone", "lateness"} <= set(read.classes)
    # The findings concern the server and the load generator, but not the hop.
    assert [one for one in read.classes if one and one.startswith("state")] == [
        "state", "state found", "state found",
    ]  # fmt: skip


@pytest.mark.seconds
def test_every_chart_has_a_title_a_description_and_its_numbers(
    faulty: list[RequestResult], summary: dict[str, Any]
) -> None:
    read = ParsedPage(render_page(summary, faulty))
    for attrs in (attrs for tag, attrs in read.tags if tag == "svg"):
        assert attrs["role"] == "img"
        named = set((attrs["aria-labelledby"] or "").split())
        assert named <= read.ids("title") | read.ids("desc")
        assert len(named) == 2
    assert read.text.count("Numbers") == len(_ALL)


@pytest.mark.seconds
def test_hostile_text_is_escaped(faulty: list[RequestResult], summary: dict[str, Any]) -> None:
    finding = {"code": HOSTILE, "slug": HOSTILE, "severity": HOSTILE, "message": HOSTILE,
               "fix": {"where": HOSTILE, "text": HOSTILE}}  # fmt: skip
    lost = {"worker": 1, "at_s": 1, "why": HOSTILE, "missing_percent": 50}
    hostile = {**summary, "findings": [finding], "url": HOSTILE, "load": HOSTILE, "model": HOSTILE,
               "errors_by_kind": {HOSTILE: 3}, "messages": {HOSTILE: HOSTILE * 50},
               "lost_workers": [lost], "interrupted": True}  # fmt: skip
    named = [replace(one, kind=one.kind and HOSTILE) for one in faulty]
    html = render_page(hostile, named, {HOSTILE: HOSTILE})
    read = ParsedPage(html)
    assert {tag for tag, _ in read.tags} & {"script", "img", "iframe", "link", "a", "base"} == set()
    assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert read.text.count("<script>alert(1)</script>") > 10
    assert "50 % of the load is missing" in read.text
    assert html.count("default-src 'none'".replace("'", "&#x27;")) == 1
    for outside in ("http://", "https://", "url(", "@import", "src="):
        assert outside not in html.replace(str(escape(HOSTILE)), "").replace("src=x", "")


def test_run_without_findings() -> None:
    run = random_load_test(60)
    read = ParsedPage(render_page(_summary(run), run))
    assert "No findings" in read.text
    for text in ("Failures", "see the findings above", "Band:", "limit "):
        assert text not in read.text


def test_page_from_the_summary_and_the_slowest_requests(
    faulty: list[RequestResult], summary: dict[str, Any]
) -> None:
    read = ParsedPage(render_page(summary, slowest([one for one in faulty if not one.warmup])))
    assert read.ids("svg") == _ALL
    assert "dot" not in read.classes
    assert "TTFT p50 of each time slice" in read.text
    assert {"cross", "flight", "lateness"} <= set(read.classes)


def test_page_from_percentiles_only(summary: dict[str, Any]) -> None:
    bare = {name: summary[name] for name in ("schema", "command", "requests", "ttft_ms")}
    read = ParsedPage(render_page(bare))
    assert read.ids("svg") == {"ttft"}


_REFUSED = _one(reads=(), outcome=Outcome.ERROR, kind="refused", started_ns=None, head_ns=None,
                status=None, ended_ns=START_NS)  # fmt: skip


@pytest.mark.parametrize("all_given", [True, False])
@pytest.mark.parametrize(
    ("run", "charts"),
    [
        ([], set()),
        ([_REFUSED], {"timeline", "rates", "waterfall"}),
        ([_one(reads=_one().reads[:1])], {"timeline", "rates", "waterfall", "ttft"}),
        ([_one(outcome=Outcome.INCOMPLETE)], _ALL),
        ([_one(warmup=True)], {"rates"}),
    ],
    ids=["none", "all refused", "one token", "no kind", "only warm-up"],
)
def test_page_of_a_run_with_little_data(
    run: list[RequestResult], charts: set[str], all_given: bool
) -> None:
    read = ParsedPage(render_page(_summary(run), run if all_given else ()))
    assert read.ids("svg") == (charts if all_given else charts - {"waterfall"})
    assert ("No request returned any content." in read.text) == (run == [_REFUSED])


def test_distribution_from_histogram_or_percentiles() -> None:
    histogram = Histogram(bits=11)
    histogram.record_all([value * MS for value in range(1, 1001)])
    row = {"count": 1000, "min": 0.0, "p50": 10.0, "p90": 20.0, "p95": 25.0, "p99": 40.0,
           "p99.9": 80.0, "max": 80.0}  # fmt: skip
    summary = {"ttft_ms": row, "histograms": {"ttft": histogram.to_sparse()}, "itl_ms": row}
    from_histogram, from_percentiles = curve_of(summary, "ttft"), curve_of(summary, "itl")
    assert isinstance(from_histogram, HistogramCurve)
    assert from_histogram.count == 1000
    assert from_histogram.at([0.5, 1]) == pytest.approx([500, 1000], rel=0.001)
    assert isinstance(from_percentiles, PercentileCurve)
    assert from_percentiles.at([0, 0.5, 0.9, 0.99, 1]) == pytest.approx([0, 10, 20, 40, 80])
    assert 20 < from_percentiles.at([0.92])[0] < 25
    assert curve_of({"ttft_ms": {"count": 0}}, "ttft") is None
    assert PercentileCurve(1, {**row, "max": 0.0}).at([0, 1]) == [0, 0]


def test_bounds_of_uncertain_gaps_are_drawn() -> None:
    first = START_NS + 200 * MS
    reads = (ContentRead(first, 0, 0, 1), ContentRead(first + 60 * MS, 60 * MS, 50 * MS, 3))
    bounds = bounds_of([_one(reads=reads)])
    assert bounds is not None
    assert [one.at([1]) for one in bounds] == [[pytest.approx(0)], [pytest.approx(60)]]
    drawn = distribution("itl", "ITL", bounds[1], bounds)
    assert 'class="band"' in drawn
    assert "at most" in drawn
    assert bounds_of([_one()]) is None


def test_phases_are_contiguous() -> None:
    assert [(name, start // MS, end // MS) for name, _, start, end in phases(_one())] == [
        ("send", 0, 1), ("head", 1, 3), ("first", 3, 200), ("content", 200, 250),
    ]  # fmt: skip
    failed = _one(reads=(), head_ns=None, outcome=Outcome.ERROR, kind="timeout")
    assert [(name, label) for name, label, _, _ in phases(failed)] == [
        ("send", "send delay"), ("failed", "error (timeout)"),
    ]  # fmt: skip


def test_slowest_requests_have_the_longest_time_from_start_to_end() -> None:
    reads = (*_one().reads, ContentRead(START_NS + 900 * MS, 0, 0, 1))
    stalled = _one(number=1, reads=reads, ended_ns=START_NS + 901 * MS)
    silent = _one(number=2, reads=(), ended_ns=START_NS + 500 * MS, outcome=Outcome.ERROR)
    late = _one(number=3, intended_ns=START_NS - 600 * MS)
    assert [one.number for one in slowest([_one(), silent, stalled, late])] == [1, 3, 2, 0]
    assert slowest([_one()] * 20, 3) == [_one()] * 3
    assert stalls(stalled, 500) == [(240 * MS, 900 * MS)]
    assert stalls(stalled, 700) == []


def test_marks_of_a_row_are_limited() -> None:
    dense = tuple(ContentRead(START_NS + (200 + i) * MS, 0, 0, 1) for i in range(9000))
    brief = ContentRead(dense[-1].at_ns + 250 * MS, 0, 0, 1)
    drawn = waterfall([_one(reads=(*dense, brief), ended_ns=brief.at_ns)], 200)
    path = next(part for part in drawn.split("<path")[1:] if 'class="reads"' in part)
    assert 500 < path.count("M") < 2000
    assert "stall of 250 ms" in drawn
    assert ">250 ms</text>" not in drawn


def test_maximum_has_no_label_if_a_percentile_is_equal() -> None:
    row = {"min": 1.0, "p50": 2.0, "p90": 3.0, "p95": 4.0, "p99": 5.0, "p99.9": 6.0, "max": 7.0}
    thousand = distribution("ttft", "TTFT", PercentileCurve(1000, row))
    assert ">p99.9</text>" in thousand
    assert ">max</text>" not in thousand
    assert ">max</text>" in distribution("ttft", "TTFT", PercentileCurve(700, row))


@pytest.mark.seconds
def test_thin_out_keeps_failures_and_slow_requests() -> None:
    run = [
        _one(number=i, intended_ns=START_NS + i * MS, ended_ns=START_NS + (250 + i) * MS,
             outcome=Outcome.ERROR if i % 50 == 0 else Outcome.COMPLETE)
        for i in range(3 * MAX_DOTS)
    ]  # fmt: skip
    spike = replace(run[777], reads=(ContentRead(START_NS + 99_000 * MS, 0, 0, 1),))
    run[777] = spike
    drawn = thin_out(run)
    assert spike in drawn
    assert {one for one in run if one.outcome is Outcome.ERROR} <= set(drawn)
    assert len(drawn) <= MAX_DOTS + 1
    few = [one for one in run if one.number < MAX_DOTS + 5]
    assert "are drawn" in render_page(_summary(few), few)
    assert len(thin_out([replace(one, outcome=Outcome.ERROR) for one in run])) <= MAX_DOTS


def test_in_flight_keeps_the_maximum_of_each_pixel() -> None:
    x = linear(880.0, 62.0, 942.0)
    most = most_by_pixel([(0.0, 10.0, 1), (10.2, 10.3, 7), (10.3, 880.0, 2)], x)
    assert (most[0], most[9], most[10], most[11], most[-1]) == (1, 1, 7, 2, 2)


def test_ticks_are_round_values() -> None:
    assert linear(530, 0, 100).ticks() == [0, 200, 400]
    assert linear(0, 0, 100)(0) == 0
    assert linear(10, 100, 0)(5) == 50
    assert linear(10, 0, 100)(99) == 100
    assert not for_durations([1, 2, 3], 2, 0, 100).log
    tail = for_durations([0, 20, 20, 500], 20, 0, 100)
    assert tail.log
    assert tail.ticks() == [20, 50, 100, 200, 500]
    assert for_durations([0.001, 20, 20, 90_000], 20, 0, 100).ticks() == [1, 10, 100, 1000, 10_000]


def test_percentile_axis_is_linear_in_nines() -> None:
    positions = [round(percentile_position(q, 1000, 0, 300)) for q in (0, 0.5, 0.9, 0.99, 0.999, 1)]
    assert positions == [0, 30, 100, 200, 300, 300]
    assert percentile_ticks(1000) == [0, 0.5, 0.9, 0.99, 0.999]
    assert percentile_ticks(1) == [0]


def test_element_escapes_text() -> None:
    inner = element("b", "<i>", None, Markup("<br>"), class_="a", stroke_width=1.25, gone=None)
    assert inner == '<b class="a" stroke-width="1.2">&lt;i&gt;<br></b>'
    assert element("meta", charset='"') == '<meta charset="&quot;">'
    assert escape("a\n\u202fb\ud800") == "a\n\u202fb\\ud800"
    assert (px(3.0), px(3.04), format_count(12345)) == (
        "3",
        "3",
        "12\u202f345",
    )
    assert [format_ms(value) for value in (0.123, 12.34, 123.4, 1234)] == [
        "0.12 ms", "12.3 ms", "123 ms", "1.23 s",
    ]  # fmt: skip


@pytest.mark.seconds
def test_damaged_lines_of_the_record_are_reported(
    faulty: list[RequestResult], summary: dict[str, Any]
) -> None:
    for lines in (0, 3):
        damage = {"lines": lines, "first_line": None, "reason": ""}
        html = render_page({**summary, "damage": damage}, faulty, {})
        assert ("Damaged lines of the record that were left out: 3" in html) is (lines == 3)
