"""TtftBaseline and ModelBaselines: outlier robustness and bounded memory."""

from __future__ import annotations

import pytest

from undam.gateway.policy.ttft_baseline import WINDOW, ModelBaselines, TtftBaseline


def test_few_stalls_do_not_move_the_p95_and_old_samples_expire() -> None:
    baseline = TtftBaseline()
    for number in range(2 * WINDOW):
        baseline.add(2.0 if number % 33 == 0 else 0.1, now_s=number)
    assert len(baseline) == WINDOW
    assert baseline.quantile(0.95) == 0.1
    assert baseline.unloaded_s == pytest.approx(0.15)
    baseline.add(0.3, now_s=10_000)
    assert len(baseline) == 1


def test_invented_model_names_displace_no_model() -> None:
    models = ModelBaselines(max_models=4)
    real = models.of("real")
    for number in range(10_000):
        models.of(f"made-up-{number}")
        assert number % 3 or models.of("real") is real
    requested_often = [models.of("new but wanted") for _ in range(20)]
    shared = models.of("yet another")
    assert requested_often[0] is shared
    assert requested_often[-1] is not shared
    assert models.of("real") is real
