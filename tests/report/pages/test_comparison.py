"""Comparison page: conclusions, notes, and a row for each ratio."""

from __future__ import annotations

from typing import Any

import pytest

from support.load_test_model import simulate
from support.parsed_page import ParsedPage
from support.random_load_test import HOSTILE
from undam.metrics import compare, parse_run, summarize
from undam.record import Outcome
from undam.report import render_comparison_page


def _result(requests: int, more: dict[str, Any], about: dict[str, Any] | None) -> dict[str, Any]:
    return summarize(simulate(requests, events=lambda _: 4, **more)).to_json(about=about)


def page(
    about: dict[str, Any] | None = None, requests: int = 300, a: dict[str, Any] | None = None,
    **b: Any,
) -> ParsedPage:  # fmt: skip
    runs = [
        parse_run(_result(requests, more, given), name)
        for name, more, given in (("a.json", a or {}, None), ("b.json", {"seed": 1, **b}, about))
    ]
    return ParsedPage(render_comparison_page(compare(*runs).to_json()))


@pytest.mark.seconds
def test_slower_run_has_a_regression_and_red_lines() -> None:
    read = page(shift=1.5)
    assert "worse by more than 10 %" in read.text
    assert {"interval slower", "ratio slower"} <= set(read.classes)
    assert read.ids("svg") == {"ratios"}
    assert "a.json" in read.text


@pytest.mark.seconds
def test_faster_run_has_no_regression() -> None:
    read = page(shift=0.6)
    assert "regression" not in read.text
    assert "interval faster" in read.classes


@pytest.mark.seconds
def test_equal_runs_and_different_conditions() -> None:
    read = page(about={"url": HOSTILE, "seed": 7})
    assert "No statistic differs beyond the noise." in read.text
    assert "different seed" in read.text
    assert "script" not in {tag for tag, _ in read.tags}


@pytest.mark.seconds
def test_failures_and_short_runs() -> None:
    read = page(failing=dict.fromkeys(range(60), Outcome.ERROR))
    assert "more" in read.text
    short = page(requests=5)
    assert "too few independent requests" in short.text
    nothing = page(requests=0)
    assert nothing.ids("svg") == set()


@pytest.mark.seconds
def test_failures_of_both_runs_are_compared_in_percent() -> None:
    few, many = (dict.fromkeys(range(count), Outcome.ERROR) for count in (15, 60))
    assert "5.00 %20.00 %4.000" in page(a={"failing": few}, failing=many).text
