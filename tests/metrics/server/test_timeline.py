"""TTFT components when the queue, the engine, a hop or the load generator is known to be slow."""

from __future__ import annotations

from typing import Any

import pytest

from support.load_test_model import START_NS, simulate
from support.server_metrics import llama_cpp, sglang, vllm
from undam.metrics import Summary, summarize
from undam.metrics.server.engines import engine_of
from undam.metrics.server.prometheus_text import parse_totals
from undam.metrics.server.timeline import ServerSample, ServerTimeline


def timeline(*texts: str, step_s: float = 0.1) -> ServerTimeline:
    samples = [
        ServerSample(START_NS + round(i * step_s * 1e9), parse_totals(text))
        for i, text in enumerate(texts)
    ]
    return ServerTimeline(engine_of(samples[0].totals, {}), samples)


def run(ttft_ms: float, **more: Any) -> Summary:
    return summarize(simulate(100, ttft=lambda _: ttft_ms, events=lambda _: 8, **more))


@pytest.mark.parametrize(
    ("ttft_ms", "more", "server", "late", "expected"),
    [
        # The TTFT consists of 500 ms in the queue, 80 ms of prefill and 20 ms in the network.
        (600, {}, {"ttft_s": 0.58, "queue_s": 0.5, "waiting": 9}, "queue", (0, 500, 80, 20)),
        (600, {}, {"ttft_s": 0.58, "queue_s": 0.01}, "engine", (0, 10, 570, 20)),
        (600, {}, {"ttft_s": 0.1, "queue_s": 0.01}, "hop", (0, 10, 90, 500)),
        (50, {"sent_late_ms": 400}, {"ttft_s": 0.04, "queue_s": 0.01}, "client", (400, 10, 30, 10)),
        # A server on the same host responds almost immediately.
        (0.4, {}, {"ttft_s": 0.0003}, None, (0, 0, 0, 0)),
    ],
)
def test_longest_part_of_the_ttft_is_named(
    ttft_ms: float, more: dict[str, Any], server: dict[str, Any], late: str | None,
    expected: tuple[float, ...],
) -> None:  # fmt: skip
    found = timeline(vllm(), vllm(requests=40, **server), vllm(requests=100, **server))
    summary = run(ttft_ms, **more)
    result = found.to_json(summary)
    parts = [result["ttft_parts_ms"][name] for name in ("client", "queue", "engine", "hop")]
    assert parts == pytest.approx(expected, abs=1)
    assert result["late"] == late


def test_queue_without_a_published_time_follows_from_its_length() -> None:
    # Of 10 requests in flight for about a second each, 8 wait and 2 run.
    summary = run(1000)
    rate = summary.requests_per_second
    texts = [llama_cpp(waiting=8, running=2)] * 5
    result = timeline(*texts).to_json(summary)
    assert result["ttft_parts_ms"]["queue"] == pytest.approx(8000 / rate, rel=0.01)
    assert result["ttft_parts_ms"]["hop"] is None
    assert (result["late"], result["ttft_ms"]) == ("queue", None)
    idle = timeline(*[llama_cpp(waiting=0)] * 5).to_json(summary)
    assert (idle["late"], idle["queue_ms"]) == ("engine", 0.0)


def test_metrics_over_time_are_on_the_axis_of_the_run() -> None:
    result = timeline(*(sglang(waiting=n) for n in range(450)), step_s=0.01).to_json(run(100))
    assert result["columns"] == ["at_ms", "running", "waiting", "kv_usage"]
    assert 100 < len(result["rows"]) <= 200
    assert result["rows"][0] == [0.0, 2.0, 0.0, pytest.approx(0.4)]
    assert result["rows"][1][0] == pytest.approx(30)
    assert (result["waiting_max"], result["running_max"]) == (449, 2)
    assert (result["engine"], result["samples"]) == ("sglang", 450)
    assert result["cache_hit_percent"] is None


def test_prefix_cache_hits_and_a_restarted_server() -> None:
    warm = timeline(vllm(requests=10, hits=100), vllm(requests=30, hits=1600))
    assert warm.to_json(run(50))["cache_hit_percent"] == 75.0
    restarted = timeline(vllm(requests=100, ttft_s=1.0), vllm(requests=2, ttft_s=0.1))
    assert restarted.to_json(run(50))["ttft_ms"] is None
    alone = timeline(vllm(requests=5)).to_json(Summary())
    assert alone["ttft_parts_ms"] == {"client": 0.0, "queue": None, "engine": None, "hop": None}
    assert alone["kv_usage_max"] == 0.25
