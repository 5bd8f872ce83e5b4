"""Page on a sweep or a search: the curve, the knee, the capacity interval, and each step."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from support.parsed_page import ParsedPage
from support.queue_servers import OPEN_LOOP, open_loop_summary, queueing
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import parse_slo, slo_json
from undam.loadtest.setup.slo_values import slo_result
from undam.report import render_sweep_page
from undam.report.pages.sweep import knee_of, step_points


def step(rate: float, *slos: str) -> dict[str, Any]:
    """Return a step against a server that has a capacity of 40/s."""
    summary = open_loop_summary(queueing(40), rate, 8)
    results = [slo_result(parse_slo(one), summary, Goodput([]), OPEN_LOOP) for one in slos]
    about = {"url": "http://x/", "concurrency": None, "arrivals": "poisson"}
    found = summary.to_json(about=about)
    return {"step": f"{rate:g}/s", **found, "slo": [dict(slo_json(one)) for one in results]}


@cache
def steps() -> list[dict[str, Any]]:
    return [step(rate, "ttft_p99<1s") for rate in (10, 30, 60)]


def search(**changes: Any) -> dict[str, Any]:
    found = {"searched": "rate", "interval": [30, 60], "confirmed": True, "stopped_by": None}
    return {"schema": 1, "command": "bench", "sweep": steps(), **found, **changes}


def test_page_has_the_curve_the_knee_and_the_distribution_of_each_step() -> None:
    read = ParsedPage(render_sweep_page(search()))
    assert read.ids("svg") == {"throughput", "step1", "step2", "step3"}
    for text in (
        "The capacity is between 30/s and 60/s.", "confirmed", "knee: 30/s", "Step 2: 30/s",
        "search with 3 steps", "http://x/", "missed",
    ):  # fmt: skip
        assert text in read.text
    assert "mark ttft missed" in read.classes
    assert "limit" in read.classes


def test_knee_has_the_highest_ratio_of_throughput_to_latency() -> None:
    points = step_points(steps())
    assert [point.label for point in points] == ["10/s", "30/s", "60/s"]
    assert [point.is_met for point in points] == [True, True, False]
    assert points[-1].rate == pytest.approx(40, rel=0.05)
    assert knee_of(points).label == "30/s"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"interval": [None, 10]}, "No load met"),
        ({"interval": [60, None]}, "no load missed"),
        ({"confirmed": False}, "not confirmed"),
        ({"stopped_by": "client"}, "stopped by delays of the load generator"),
        ({"searched": "concurrency"}, "between 30 in flight and 60 in flight"),
    ],
)
def test_result_of_a_search(changes: dict[str, Any], text: str) -> None:
    assert text in ParsedPage(render_sweep_page(search(**changes))).text


def test_sweep_without_objectives_or_responses() -> None:
    plain = {"sweep": [step(10)]}
    read = ParsedPage(render_sweep_page(plain))
    assert "sweep with 1 steps" in read.text
    assert "capacity" not in read.text
    failed = open_loop_summary(lambda _at, _rate: (0.1, False), 10, 2).to_json()
    nothing = ParsedPage(render_sweep_page({"sweep": [{"step": "1/s", **failed}]}))
    assert nothing.ids("svg") == set()
    assert ParsedPage(render_sweep_page({"sweep": []})).ids("svg") == set()
