"""Monitor objectives: syntax, and evaluation over a series of probes."""

from __future__ import annotations

import pytest

from undam.errors import UsageError
from undam.monitor.objectives import parse_objective
from undam.monitor.probe_result import ProbeSummary


def probes(*ttfts: float | None, verdict: str = "streaming") -> list[ProbeSummary]:
    return [
        ProbeSummary(float(at), verdict, ttft is not None, ttft, None)
        for at, ttft in enumerate(ttfts)
    ]


@pytest.mark.parametrize(
    ("text", "ttfts", "met"),
    [
        ("ttft_p95<800ms", [100.0] * 100, True),
        ("ttft_p95<800ms", [100.0] * 90 + [900.0] * 10, False),
        ("ttft_p50 < 0.2 s", [100.0, 150.0, 900.0], True),
        ("ttft_p99<=100ms", [100.0], True),
        ("ttft_p50<800ms", [100.0, None, None], False),
        ("complete>=99.5%", [100.0] * 200, True),
        ("complete>=99.5%", [100.0] * 190 + [None] * 10, False),
        ("complete=100%", [100.0], True),
        ("complete>99%", [100.0], True),
        ("verdict=streaming", [100.0], True),
        ("verdict=batched", [100.0], False),
        ("hold_p99<50ms", [100.0], None),
        ("verdict=streaming", [], None),
        ("ttft_p50<1s", [], None),
    ],
)
def test_evaluation(text: str, ttfts: list[float | None], met: bool | None) -> None:
    assert parse_objective(text).is_met(probes(*ttfts)) is met


@pytest.mark.parametrize(
    "text",
    ["", "ttft", "ttft<800", "ttft_p95<fast", "complete>=99.5", "complete_p5>=1%", "verdict=fine",
     "verdict<streaming", "latency_p95<1s", "ttft_p95<800%"],
)  # fmt: skip
def test_errors_show_the_text_or_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"ms|%|verdict"):
        parse_objective(text)
