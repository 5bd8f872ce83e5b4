"""Durations that gateways and providers report in response headers."""

from __future__ import annotations

import pytest

from support.diagnosis_cases import analyze_hops, head_with
from support.synthetic_streams import answer, even_schedule, exchange
from undam.diagnosis.hop import hop_metrics
from undam.diagnosis.reported import reported_ms
from undam.record import Head


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("x-litellm-overhead-duration-ms", "12.5", {"gateway_overhead": 12.5}),
        ("X-LiteLLM-Response-Duration-Ms", "80", {"gateway_total": 80.0}),
        ("llm_provider-openai-processing-ms", "7", {"model": 7.0}),
        ("X-Kong-Proxy-Latency", "3", {"gateway_overhead": 3.0}),
        ("x-compute-time", "0.25", {"model": 250.0}),
        ("x-litellm-overhead-duration-ms", "None", {}),
        ("x-litellm-overhead-duration-ms", "nan", {}),
        ("x-litellm-overhead-duration-ms", "-1", {}),
        ("x-other", "5", {}),
    ],
)
def test_headers(name: str, value: str, found: dict[str, float]) -> None:
    assert reported_ms(Head(200, "1.1", ((name, value),))) == found


def test_no_head() -> None:
    assert reported_ms(None) == {}


def test_they_are_part_of_the_report() -> None:
    head = head_with(("x-litellm-overhead-duration-ms", "4"))
    (hop,) = analyze_hops(exchange(answer(even_schedule(25, 20)), head=head))
    assert hop_metrics(hop)["reported_ms"] == {"gateway_overhead": 4.0}
