"""Validity of a run: overload, warm caches and failures are caveats with reason and remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.load_test_model import simulate
from support.queue_servers import open_loop_summary, queueing
from undam.metrics import Summary, summarize
from undam.record import Outcome
from undam.record.request_result import CANCELLED
from undam.rules import Severity

OPEN = {"arrivals": "poisson", "rate": 120.0, "concurrency": None}


def report(summary: Summary, **about: Any) -> dict[str, Any]:
    return summary.to_json(about=about)


def cached(prompt: int, tokens: int | None, requests: int = 40) -> Summary:
    return summarize(
        replace(one, prompt_tokens=prompt, cached_tokens=tokens) for one in simulate(requests)
    )


def test_overload_is_the_first_caveat_with_both_rates_and_a_remedy() -> None:
    found = report(open_loop_summary(queueing(40), 120, 6), **OPEN)
    assert found["valid"] is False
    (caveat,) = found["caveats"]
    assert (caveat["code"], caveat["severity"]) == ("UD920", "warning")
    assert found["findings"][0]["code"] == "UD920"
    assert "/s were offered and 40" in caveat["reason"]
    assert caveat["remedy"] == "undam bench: --rate 36"
    assert found["offered_per_second"] == pytest.approx(120, rel=0.1)
    assert found["served_per_second"] == pytest.approx(40, rel=0.05)
    in_flight = [row[4] for row in found["load_over_time"]["rows"]]
    assert max(in_flight) > 300
    assert in_flight[-1] == 0


def test_overload_of_a_server_that_answers_nothing_has_no_rate_to_suggest() -> None:
    found = report(open_loop_summary(lambda at, _: (60.0, True), 50, 4), **OPEN)
    # Every response takes a minute, so the server is slow, but its queue does not grow.
    assert found["caveats"] == []
    growing = report(open_loop_summary(lambda at, _: (3 * at, False), 50, 40), **OPEN)
    assert [one["code"] for one in growing["caveats"]] == ["UD920", "UD610"]
    assert growing["caveats"][0]["remedy"] == "see undam explain UD920"


def test_healthy_run_is_valid_without_caveats() -> None:
    found = report(open_loop_summary(queueing(400), 40, 10), **OPEN)
    assert (found["valid"], found["caveats"]) == (True, [])
    assert found["steady"]["reason"] == ""
    assert found["steady"]["start_s"] < found["steady"]["end_s"]


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("about", "prompt", "tokens", "expected"),
    [
        ({"prompts": 8}, 100, 90, ("UD921", Severity.WARNING)),
        ({"prompts": 512, "unique_prompts": True}, 100, 60, ("UD921", Severity.WARNING)),
        ({"unique_prompts": True, "prefix_share": 0.6}, 100, 60, ("UD921", Severity.INFO)),
        ({"unique_prompts": True, "prefix_share": 0.2}, 100, 60, ("UD921", Severity.WARNING)),
        ({"prompts": 8, "has_history": True}, 100, 60, ("UD921", Severity.INFO)),
        ({"prompts": 8}, 100, None, ("UD922", Severity.INFO)),
        # A few cached tokens are those of the chat template, not a sign of a warm cache.
        ({"prompts": 512, "unique_prompts": True}, 100, 8, None),
        ({"prompts": 8}, 100, 0, None),
        ({"prompts": 512}, 100, None, None),
        ({}, 100, None, None),
    ],
)
def test_warm_cache_is_named(
    about: dict[str, Any], prompt: int, tokens: int | None, expected: tuple[str, Severity] | None
) -> None:
    found = report(cached(prompt, tokens), **about)
    caveats = [(one["code"], one["severity"]) for one in found["caveats"]]
    assert caveats == ([] if expected is None else [expected])
    assert found["valid"] == (expected is None or expected[1] is Severity.INFO)
    assert found["cached_percent"] == (None if tokens is None else 100 * tokens / prompt)
    assert found["input_tokens"] == 40 * prompt


@pytest.mark.seconds
def test_failures_beyond_one_percent_limit_what_the_metrics_mean() -> None:
    rare = summarize(simulate(200, failing={3: Outcome.ERROR}))
    often = summarize(simulate(200, failing=dict.fromkeys(range(9), Outcome.ERROR)))
    assert report(rare)["valid"] is True
    assert [one["code"] for one in report(often)["caveats"]] == ["UD610"]


@pytest.mark.seconds
def test_request_without_a_first_token_is_part_of_the_ttft() -> None:
    waited = dict.fromkeys(range(0, 240, 12), Outcome.INCOMPLETE)
    results = [
        replace(one, reads=(), kind="timeout", ended_ns=one.intended_ns + 3_000_000_000)
        if one.number in waited
        else one
        for one in simulate(240, failing=waited, ttft=lambda rng: 100.0)
    ]
    found = report(summarize(results))
    ttft = found["ttft_ms"]
    assert (ttft["count"], ttft["of"], ttft["timed_out"]) == (240, 240, 20)
    assert ttft["p90"] < 101
    assert ttft["p95"] == ttft["p99"] == pytest.approx(3000, rel=1e-4)
    assert "20 of 240 responses are incomplete (20 of them before any content)" in str(
        found["caveats"]
    )


def test_time_to_the_first_answer_token_is_reported_beside_the_ttft() -> None:
    results = [
        replace(one, answer_ns=one.reads[10].at_ns, reasoning_tokens=10) for one in simulate(20)
    ]
    found = report(summarize(results))
    assert found["first_answer_ms"]["p50"] > found["ttft_ms"]["p50"] + 150
    assert found["reasoning_tokens"] == 200
    plain = report(summarize(replace(one, answer_ns=one.reads[0].at_ns) for one in simulate(20)))
    assert "first_answer_ms" not in plain


@pytest.mark.seconds
def test_given_findings_are_reported_instead_of_those_of_the_run() -> None:
    summary = summarize(simulate(200, failing=dict.fromkeys(range(9), Outcome.ERROR)))
    assert [one["code"] for one in summary.to_json(findings=[])["caveats"]] == []
    known = summary.findings()
    assert summary.to_json(findings=known) == summary.to_json()


def test_tokens_of_a_document_are_not_events_that_were_joined() -> None:
    one_event = [
        replace(one, reads=one.reads[:1], tokens=40) for one in simulate(50, events=lambda _: 2)
    ]
    codes = {
        streams: [one["code"] for one in report(summarize(one_event), streams=streams)["findings"]]
        for streams in (True, False)
    }
    assert codes == {True: ["UD501"], False: []}


def test_cancelled_requests_are_counted_apart_from_others_that_were_abandoned() -> None:
    kinds = {3: CANCELLED, 4: CANCELLED, 5: ""}
    results = [
        replace(one, outcome=Outcome.ABANDONED, kind=kinds[one.number])
        if one.number in kinds
        else one
        for one in simulate(20)
    ]
    found = report(summarize(results))
    assert (found["requests"], found["abandoned"], found["cancelled"]) == (17, 3, 2)
