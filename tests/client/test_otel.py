"""OpenTelemetry metrics: conventional names and units, and omission of missing values."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from undam.client import IdleTimeout, Text, Timing, Usage
from undam.client.otel import GenAIMetrics
from undam.errors import UsageError

MS = 1_000_000


class Histogram:
    def __init__(self) -> None:
        self.values: list[tuple[float, dict[str, Any]]] = []

    def record(self, value: float, attributes: dict[str, Any]) -> None:
        self.values.append((value, attributes))


class Meter:
    def __init__(self) -> None:
        self.made: dict[str, Histogram] = {}
        self.units: dict[str, str] = {}

    def create_histogram(
        self, name: str, unit: str, description: str, explicit_bucket_boundaries_advisory: Any
    ) -> Histogram:
        assert list(explicit_bucket_boundaries_advisory) == sorted(
            explicit_bucket_boundaries_advisory
        )
        assert description
        self.units[name] = unit
        return self.made.setdefault(name, Histogram())


class OldMeter(Meter):
    def create_histogram(self, name: str, unit: str, description: str) -> Histogram:  # type: ignore[override]
        return self.made.setdefault(name, Histogram())


def _timing() -> Timing:
    now = [0]
    timing = Timing(clock=lambda: now[0])
    for at_ms, item in ((200, Text("a")), (220, Text("b")), (250, Text("c")), (260, Usage(9, 3))):
        now[0] = at_ms * MS
        timing.read([item])
    now[0] = 300 * MS
    timing.end()
    return timing


def test_metrics_have_the_names_of_the_conventions() -> None:
    meter = Meter()
    GenAIMetrics(meter).record(
        _timing(), model="m", provider="anthropic", attributes={"server.address": "h"}
    )
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "m",
        "server.address": "h",
    }
    found = {name: [value for value, _ in one.values] for name, one in meter.made.items()}
    assert found == {
        "gen_ai.client.operation.duration": [0.3],
        "gen_ai.client.operation.time_to_first_chunk": [0.2],
        "gen_ai.client.operation.time_per_output_chunk": [0.02, 0.03],
        "gen_ai.server.time_to_first_token": [0.2],
        "gen_ai.server.time_per_output_token": [pytest.approx(0.025)],
        "gen_ai.client.token.usage": [3],
    }
    assert meter.made["gen_ai.client.operation.duration"].values[0][1] == known
    usage = meter.made["gen_ai.client.token.usage"].values[0][1]
    assert usage == known | {"gen_ai.token.type": "output"}
    assert {unit for name, unit in meter.units.items() if "token.usage" not in name} == {"s"}


def test_an_error_is_recorded_without_missing_values() -> None:
    meter = Meter()
    timing = Timing()
    GenAIMetrics(meter).record(timing, error=IdleTimeout("silent"))
    recorded = {name for name, one in meter.made.items() if one.values}
    assert recorded == {"gen_ai.client.operation.duration"}
    attributes = meter.made["gen_ai.client.operation.duration"].values[0][1]
    assert attributes["error.type"] == "IdleTimeout"


def test_an_old_api_without_bucket_advice_works() -> None:
    meter = OldMeter()
    GenAIMetrics(meter).record(_timing())
    assert meter.made["gen_ai.client.operation.duration"].values


def test_the_real_api_accepts_the_metrics() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("undam")
    GenAIMetrics(meter).record(_timing(), model="m")
    data = reader.get_metrics_data()
    assert data is not None
    recorded = data.resource_metrics[0].scope_metrics[0].metrics
    assert "gen_ai.client.operation.duration" in {one.name for one in recorded}


def test_a_missing_api_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.metrics", None)
    with pytest.raises(UsageError, match=r"pip install 'undam\[otel\]'"):
        GenAIMetrics()
