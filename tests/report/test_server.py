"""Server metrics in a report: the chart over time, and the TTFT components."""

from __future__ import annotations

from typing import Any

import pytest

from support.load_test_model import START_NS, simulate
from support.parsed_page import ParsedPage
from support.server_metrics import tgi, vllm
from undam.metrics import Summary, summarize
from undam.metrics.server.engines import engine_of
from undam.metrics.server.prometheus_text import parse_totals
from undam.metrics.server.timeline import ServerSample, ServerTimeline
from undam.report import render_page
from undam.report.markup import NO_VALUE


def run(ttft_ms: float = 600) -> Summary:
    return summarize(simulate(100, ttft=lambda _: ttft_ms, events=lambda _: 8))


def page(*texts: str, summary: Summary | None = None, start_s: float = 0.0) -> ParsedPage:
    """Return the report page for a run with a sample of server metrics every 100 ms."""
    samples = [
        ServerSample(START_NS + round((start_s + 0.1 * i) * 1e9), parse_totals(text))
        for i, text in enumerate(texts)
    ]
    summary = summary or run()
    timeline = ServerTimeline(engine_of(samples[0].totals, {}), samples)
    return ParsedPage(render_page({**summary.to_json(), "server": timeline.to_json(summary)}))


def curves(read: ParsedPage) -> list[str]:
    """Return the paths in the server metrics chart, in document order."""
    ids = [attrs.get("id") for _, attrs in read.tags]
    after = read.tags[ids.index("server") :]
    end = next(at for at, (tag, _) in enumerate(after) if tag == "table")
    classes = [attrs.get("class") or "" for tag, attrs in after[:end] if tag == "path"]
    return [one for one in classes if one.startswith("curve")]


def test_chart_has_running_waiting_and_cache() -> None:
    read = page(*(vllm(waiting=number, running=4, kv=0.62) for number in range(8)))
    assert "server" in read.ids("svg")
    assert curves(read) == ["curve served", "curve offered", "curve tokens"]
    assert "vllm: at most 7 waiting, 4 running" in read.text
    assert "0.3 s3462 %" in read.text


def test_server_without_cache_metrics_has_no_curve_of_the_cache() -> None:
    read = page(*(tgi(waiting=number) for number in range(8)))
    assert curves(read) == ["curve served", "curve offered"]
    assert f"0.2 s24{NO_VALUE}" in read.text


@pytest.mark.parametrize("more", [{}, {"server": None}])
def test_metrics_that_were_not_read_have_no_chart(more: dict[str, Any]) -> None:
    assert "server" not in ParsedPage(render_page({**run().to_json(), **more})).ids("svg")


def test_samples_before_the_run_are_not_drawn() -> None:
    assert "server" not in page(vllm(), vllm(), start_s=-5).ids("svg")


@pytest.mark.parametrize(
    ("server", "state"),
    [
        ({"ttft_s": 0.58, "queue_s": 0.5}, "mostly queue of the server"),
        ({"ttft_s": 0.58, "queue_s": 0.01}, "mostly engine (prefill)"),
        ({"ttft_s": 0.1, "queue_s": 0.01}, "mostly hop and network"),
    ],
)
def test_longest_part_of_the_ttft_is_named(server: dict[str, Any], state: str) -> None:
    read = page(vllm(), vllm(requests=40, **server), vllm(requests=100, **server))
    assert "ttft-parts" in read.ids("section")
    assert state in read.text


def test_parts_that_are_short_or_unknown_are_not_blamed() -> None:
    fast = run(0.4)
    read = page(vllm(), vllm(requests=100, ttft_s=0.0003), summary=fast)
    assert "no part is significant" in read.text
    assert "hop and network" in page(tgi(), tgi()).text


@pytest.mark.parametrize(
    ("code", "states"),
    [
        # An overload is attributed to the server; a warm cache is not attributed to any component.
        ("UD920", ["state", "state found", "state"]),
        ("UD921", ["state", "state", "state"]),
        ("UD907", ["state", "state", "state found"]),
        ("UD113", ["state found", "state", "state"]),
    ],
)
def test_a_finding_marks_the_card_of_its_component(code: str, states: list[str]) -> None:
    finding = {"code": code, "slug": "x", "severity": "warning", "message": "x", "fix": None}
    read = ParsedPage(render_page({**run().to_json(), "findings": [finding]}))
    assert [one for one in read.classes if one and one.startswith("state")] == states
