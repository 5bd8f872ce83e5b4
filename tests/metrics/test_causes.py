"""Causes of latency: each simulated problem is found, and nothing else is reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.load_test_model import findings, simulate
from undam.metrics import LoadGeneratorStats, find_causes, summarize
from undam.metrics.validity.asked import RequestedLoad
from undam.record import Outcome, RequestResult
from undam.record.request_result import IntegrityCounts
from undam.rules import Severity


def codes(client: LoadGeneratorStats | None = None, **settings: Any) -> list[str]:
    requests = settings.pop("requests", 20)
    return [one.code for one in findings(simulate(requests, **settings), client)]


@pytest.mark.seconds
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gap": lambda rng: 20.0},
        {"gap": lambda rng: 20 * rng.lognormvariate(0, 0.5)},
        {"gap": lambda rng: 2 * rng.uniform(0.2, 1.8)},
        {"events": lambda rng: rng.choice((3, 200))},
        {"events": lambda rng: 1},
        {"events": lambda rng: 2},
        {"heartbeats": 3, "ttft": lambda rng: rng.uniform(20, 9000)},
        {"gap": lambda rng: 300 * rng.uniform(0.7, 1.3), "events": lambda rng: 20},
        {"starved_ms": 1},
        {"starved_ms": 10, "events": lambda rng: 30, "gap": lambda rng: 40 * rng.uniform(0.7, 1.3)},
        {"ttft": lambda rng: 0.4, "gap": lambda rng: 0.02, "events": lambda rng: 100},
    ],
)
def test_run_without_problems_has_no_findings(settings: dict[str, Any], seed: int) -> None:
    assert (
        codes(LoadGeneratorStats(cpu_percent=99.0, waited_percent=3.0), seed=seed, **settings) == []
    )


@pytest.mark.parametrize("per_write", [2, 3, 4, 5, 6, 16, 20, 32])
def test_events_sent_together_are_attributed_to_the_hop(per_write: int) -> None:
    (found,) = findings(simulate(20, per_write=per_write, events=lambda _: 160))
    assert found.code == "UD113"
    assert f": {per_write} at a time" in found.message
    assert (found.severity is Severity.INFO) == (per_write <= 5)


def test_short_responses_have_no_burst_size() -> None:
    (found,) = findings(simulate(20, per_write=4, events=lambda _: 7))
    assert (found.code, "an unknown number of bytes" in found.message) == ("UD113", True)


@pytest.mark.seconds
@pytest.mark.parametrize("event_bytes", [30, 60, 170, 205, 250, 333, 600, 1000])
@pytest.mark.parametrize("block", [4096, 8192])
@pytest.mark.parametrize("jitter", [0, 20])
def test_buffer_is_detected_by_its_size(event_bytes: int, block: int, jitter: int) -> None:
    found = findings(
        simulate(
            10,
            block_bytes=block,
            event_bytes=lambda rng: event_bytes + rng.randint(-jitter, jitter) // 2,
            events=lambda _: 8 * block // event_bytes,
        )
    )
    assert [one.code for one in found] == ["UD102"]
    assert f"about {block} bytes" in found[0].message


def test_response_smaller_than_the_buffer_is_held_to_the_end() -> None:
    assert codes(block_bytes=1 << 16) == ["UD101"]
    # The response is too fast to support a conclusion.
    assert codes(block_bytes=1 << 16, ttft=lambda rng: 10.0, gap=lambda rng: 0.1) == []
    assert codes(block_bytes=1 << 16, events=lambda _: 7) == []


def test_timer_is_detected_by_its_rhythm() -> None:
    measured = [
        replace(one, reads=tuple(_through_timer(one.reads, 200_000_000)))
        for one in simulate(10, events=lambda _: 200, gap=lambda rng: 25 * rng.uniform(0.3, 1.7))
    ]
    (found,) = findings(measured)
    assert found.code == "UD103"
    assert "about 200.0 ms" in found.message


def _through_timer(reads: Any, period: int) -> Any:
    held: dict[int, int] = {}
    for read in reads:
        due = -(-read.at_ns // period) * period
        held[due] = held.get(due, 0) + read.events
    return [reads[0]._replace(at_ns=due, events=n) for due, n in held.items()]


@pytest.mark.parametrize(
    ("longest", "settings"),
    [(500, {}), (1100, {"per_write": 4}), (1100, {"gap": lambda rng: 100.0})],
)
def test_stall_is_attributed_to_the_server(longest: float, settings: dict[str, Any]) -> None:
    assert "UD502" in codes(stall_ms=longest, **settings)
    assert "UD502" not in codes(stall_ms=longest / 2.3, **settings)


def test_one_stall_in_many_responses_is_info() -> None:
    measured = simulate(120)
    stalled = simulate(1, stall_ms=400)
    (found,) = findings([*measured, *stalled])
    assert (found.code, found.severity) == ("UD502", Severity.INFO)
    assert "in 1 of 121 responses" in found.message


def test_waiting_for_a_block_is_not_a_stall() -> None:
    # Blocks of 4 KB arrive in three segments, so most gaps are microseconds; the pauses are 400 ms.
    segmented = []
    for one in simulate(20, per_write=20, events=lambda _: 200):
        reads = [
            read._replace(at_ns=read.at_ns + i * 20_000, events=n, slack_ns=20_000)
            for read in one.reads
            for i, n in enumerate((7, 7, 6))
        ]
        segmented.append(replace(one, reads=tuple(reads)))
    assert [one.code for one in findings(segmented)] == ["UD113"]
    result = summarize(segmented).to_json()
    assert result["itl_ms"]["p50"] == pytest.approx(0.02, rel=1e-3), "gaps as in the kernel"


@pytest.mark.parametrize("starved_ms", [30, 60, 200])
@pytest.mark.parametrize("seed", range(3))
def test_starved_load_generator_has_only_caveats(starved_ms: float, seed: int) -> None:
    found = findings(simulate(20, starved_ms=starved_ms, seed=seed), LoadGeneratorStats(workers=3))
    assert {one.code for one in found} <= {"UD907", "UD901"}
    assert found[0].code == "UD907"
    assert "uncertain" in found[0].message
    assert found[0].fix is not None
    assert found[0].fix.text == "--workers 6"


@pytest.mark.seconds
def test_rare_lateness_affects_only_p999() -> None:
    measured = simulate(100)
    late = simulate(1, starved_ms=50, seed=9)
    (found,) = [one for one in findings([*measured, *late]) if one.code == "UD907"]
    assert found.severity is Severity.INFO
    assert "p99.9" in found.message
    assert "UD907" not in [one.code for one in findings([*simulate(4000 // 64), *simulate(1)])]


def test_slack_of_the_first_read_makes_the_ttft_uncertain() -> None:
    measured = [
        replace(one, stamped=False, reads=(one.reads[0]._replace(slack_ns=90_000_000),))
        for one in simulate(20, events=lambda _: 1)
    ]
    found = findings(measured)
    assert [one.code for one in found] == ["UD907", "UD904"]
    assert "TTFT" in found[0].message


def test_reads_without_timestamps_are_uncertain_by_their_slack() -> None:
    unstamped = [replace(one, stamped=False) for one in simulate(20)]
    assert [one.code for one in findings(unstamped)] == ["UD904"]
    slow = [replace(one, stamped=False) for one in simulate(20, starved_ms=15)]
    assert next(one.code for one in findings(slow)) == "UD907"


def test_late_sends_are_reported_with_their_effect() -> None:
    (found,) = findings(simulate(20, sent_late_ms=40))
    assert found.code == "UD908"
    assert (found.evidence["delay_ms"], found.evidence["shown_ms"]) != (None, None)


def test_requested_limit_on_the_concurrency_is_not_a_late_load_generator() -> None:
    waited = summarize(simulate(20, sent_late_ms=40))
    assert waited.findings(asked=RequestedLoad(is_open=True, max_concurrency=4)) == []
    assert [one.code for one in waited.findings(asked=RequestedLoad(is_open=True))] == ["UD908"]


def test_clock_step_is_reported_and_does_not_change_metrics() -> None:
    measured = simulate(20)
    first = measured[0]
    back = first.reads[5]._replace(at_ns=first.reads[5].at_ns - 10**9)
    measured[0] = replace(first, reads=(*first.reads[:5], back, *first.reads[6:]))
    measured[1] = replace(measured[1], intended_ns=measured[1].ended_ns + 10**9)
    found = findings(measured)
    assert [one.code for one in found] == ["UD903"]
    assert found[0].evidence["step_ms"] == pytest.approx(-2500, rel=0.5)
    summary = summarize(measured)
    assert summary.clock_steps_back == 2
    assert summary.times("itl").count == 19 * 63
    assert codes(LoadGeneratorStats(step_ns=-30_000_000)) == ["UD903"]
    assert codes(LoadGeneratorStats(waited_percent=35.0)) == ["UD909"]


def test_failures_are_listed_by_kind_after_caveats() -> None:
    kinds = [f"status-{code}" for code in range(500, 507)]
    failing = dict.fromkeys(range(9), Outcome.ERROR) | {9: Outcome.INCOMPLETE}
    measured = [
        replace(one, kind=kinds[i] if i < 7 else "") if i < 9 else one
        for i, one in enumerate(simulate(20, failing=failing, starved_ms=60))
    ]
    found = findings(measured)
    assert [one.code[:3] for one in found[-2:]] == ["UD6", "UD6"]
    assert found[0].code == "UD907"
    assert found[-2].message == (
        "9 of 20 requests failed: 2 unknown, 1 status-500, 1 status-501, 1 status-502, "
        "1 status-503, 3 others"
    )
    assert found[-1].message.endswith("1 reset")


def test_several_tokens_per_event_are_attributed_to_the_engine() -> None:
    several = [replace(one, tokens=256) for one in simulate(20)]
    assert [one.code for one in findings(several)] == ["UD501"]


def test_hidden_reasoning_is_not_several_tokens_per_event() -> None:
    hidden = [
        replace(one, tokens=464, reasoning_tokens=400, answer_ns=one.reads[0].at_ns)
        for one in simulate(20)
    ]
    assert findings(hidden) == []
    streamed = [replace(one, answer_ns=one.reads[5].at_ns) for one in hidden]
    assert [one.code for one in findings(streamed)] == ["UD501"]


def test_no_requests_have_no_findings() -> None:
    assert find_causes(summarize([])) == []
    assert codes(failing=dict.fromkeys(range(20), Outcome.ABANDONED)) == []


def test_late_reads_with_data_of_other_streams_are_intervals() -> None:
    late = [
        replace(
            one, blurred=True,
            reads=tuple(read._replace(slack_ns=60_000_000) for read in one.reads),
        )
        for one in simulate(40)
    ]  # fmt: skip
    assert {"UD907"} == {one.code for one in findings(late)}
    assert summarize(late).uncertain_gaps > 0
    # Gaps are certain if slack is low, or if no streams are concurrent.
    short = [
        replace(one, reads=tuple(read._replace(slack_ns=200_000) for read in one.reads))
        for one in late
    ]
    assert findings(short) == []
    alone = [replace(one, blurred=False) for one in late]
    assert findings(alone) == []


def test_damaged_content_is_reported_by_kind() -> None:
    def with_integrity(*rows: IntegrityCounts) -> list[RequestResult]:
        results = simulate(20)
        for index, row in enumerate(rows):
            results[index] = replace(results[index], integrity=row)
        return results

    intact = IntegrityCounts("stamps", 30)
    assert findings(with_integrity(intact, intact)) == []
    lossy = IntegrityCounts("stamps", 30, lost=2, first=(("lost", "event 7"),))
    results = with_integrity(intact, intact, lossy, lossy)
    (found,) = findings(results)
    assert (found.code, found.severity) == ("UD611", Severity.ERROR)
    assert found.message == (
        "4 of 120 events are missing; the first is event 7, request 2 (from the numbers of the "
        "beacon)"
    )
    counts = summarize(results).to_json()["integrity"]
    assert counts == {
        "checked": 4, "damaged": 2, "lost": 4, "duplicated": 0, "reordered": 0, "altered": 0,
        "torn": 0, "mixed": 0, "truncated_json": 0,
    }  # fmt: skip
    torn = IntegrityCounts("events", torn=1, first=(("torn", "near 'x'"),))
    ids = IntegrityCounts("event-ids", 9, duplicated=1, first=(("duplicated", "event 3"),))
    weak = findings(with_integrity(torn, ids))
    assert [(one.code, one.severity) for one in weak] == [
        ("UD612", Severity.WARNING), ("UD615", Severity.WARNING)
    ]  # fmt: skip
    (several,) = findings(with_integrity(torn, torn))
    assert several.severity is Severity.ERROR
