"""Service level objectives: accepted syntax, and the margin by which one was missed."""

from __future__ import annotations

import pytest

from undam.errors import UsageError
from undam.loadtest.setup.slo import SloResult, parse_slo, quantile_of, slo_json


@pytest.mark.parametrize(
    ("text", "name", "stat", "limit", "unit"),
    [
        ("ttft_p99<500ms", "ttft", "p99", 500, "ms"),
        ("itl_p99.9 <= 0.2s", "itl", "p99.9", 200, "ms"),
        ("send_delay_max<100us", "send_delay", "max", 0.1, "ms"),
        ("errors<1%", "errors", "", 1, "%"),
        ("incomplete<5", "incomplete", "", 5, ""),
        ("goodput>=95%", "goodput", "", 95, "%"),
        ("tokens_per_second>100", "tokens_per_second", "", 100, "/s"),
    ],
)
def test_valid_slo_is_parsed(text: str, name: str, stat: str, limit: float, unit: str) -> None:
    slo = parse_slo(text)
    assert (slo.name, slo.stat, str(slo.unit)) == (name, stat, unit)
    assert slo.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text",
    [
        "ttft<500ms",
        "ttft_p99<500",
        "ttft_p99<5%",
        "errors_p99<1%",
        "errors<1ms",
        "goodput>5",
        "speed<1",
        "ttft_p99",
        "",
    ],
)
def test_invalid_slo_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="--slo"):
        parse_slo(text)


def test_missed_objective_reports_by_how_much() -> None:
    slo = parse_slo("ttft_p99<500ms")
    assert SloResult(slo, 499.9).is_met
    assert not SloResult(slo, 500.0).is_met
    assert SloResult(slo, 750.0).text == "ttft_p99<500ms: missed by 50.0%, measured 750.00 ms"
    assert not SloResult(slo, None).is_met
    assert slo_json(SloResult(slo, 750.0))["met"] is False
    assert SloResult(parse_slo("errors<=0"), 1).text == "errors<=0: missed, measured 1"
    assert SloResult(parse_slo("goodput>=95%"), 95.0).is_met
    assert SloResult(parse_slo("goodput>95%"), 96.0).is_met


def test_only_percentiles_have_a_quantile() -> None:
    assert quantile_of("p99.9") == pytest.approx(0.999)
    assert quantile_of("mean") is None
