"""WorkerMetrics and the exposition text: exact sums, valid formats, and a bounded series count."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate

import pytest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.metrics import WorkerMetrics, add_sorted, render, scrape
from undam.gateway.telemetry.model_labels import clean_label
from undam.gateway.telemetry.shared_memory import SharedMetrics

LABELS = ("gpu-1", "llama", "chat", "openai")


@pytest.fixture
def shared_metrics() -> Iterator[SharedMetrics]:
    shared_metrics = SharedMetrics.make(3)
    yield shared_metrics
    os.close(shared_metrics.fd)


# Script of a second worker, which exits without cleanup, like a crashed process.
_SECOND_WORKER = """
import os, sys
from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.shared_memory import SharedMetrics

metrics = WorkerMetrics(SharedMetrics(int(sys.argv[1]), 3).region(1))
for _ in range(1000):
    metrics.count(m.HEARTBEATS)
metrics.set(m.STREAMS, 7)
os._exit(0)
"""


def _samples(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in parse_text(text.decode())
        for sample in family.samples
    }


def _parsed(text: str) -> list[object]:
    """Return comments unchanged, and each series as a tuple of name, sorted labels and value."""
    parsed: list[object] = []
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        parsed.append(
            line if line[0] == "#" else (name, sorted(labels.rstrip("}").split(",")), float(value))
        )
    return parsed


def test_a_scrape_returns_the_exact_sums_of_all_workers(shared_metrics: SharedMetrics) -> None:
    workers = [WorkerMetrics(shared_metrics.region(number)) for number in range(3)]
    gaps = [0.0005, 0.02, 0.021, 0.3, 99.0]
    for number, worker in enumerate(workers):
        worker.count(m.REQUESTS, "chat", "200", by=10**number)
        worker.set(m.STREAMS, number)
        add_sorted(worker.series(m.GAP, *LABELS), m.GAP, gaps[: number + 3])
    found = _samples(render(shared_metrics.snapshot())[1])
    assert found["undam_gateway_requests_total[('api', 'chat'), ('status', '200')]"] == 111
    assert found["undam_gateway_streams_in_flight[]"] == 3
    assert found["undam_gateway_workers[]"] == 3
    gap = {name: value for name, value in found.items() if "inter_token" in name}
    assert next(value for name, value in gap.items() if "_count[" in name) == 12
    assert next(value for name, value in gap.items() if "'0.025'" in name) == 9
    assert next(value for name, value in gap.items() if "'30.0'" in name) == 11
    assert next(value for name, value in gap.items() if "+Inf" in name) == 12
    total = next(value for name, value in gap.items() if "_sum[" in name)
    assert math.isclose(total, sum(gaps[:3]) + sum(gaps[:4]) + sum(gaps))


def test_bucket_bounds_are_inclusive(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for bound in m.TTFT_S:
        metrics.observe(m.TTFT, bound, *LABELS)
    assert metrics.series(m.TTFT, *LABELS).tolist()[:-1] == [1] * len(m.TTFT_S) + [0]


def test_counts_of_a_crashed_worker_are_kept_and_its_gauges_are_reset(
    shared_metrics: SharedMetrics,
) -> None:
    command = [sys.executable, "-c", _SECOND_WORKER, str(shared_metrics.fd)]
    with subprocess.Popen(command, pass_fds=[shared_metrics.fd]) as child:
        metrics = WorkerMetrics(shared_metrics.region(0))
        for _ in range(1000):
            metrics.count(m.HEARTBEATS)
        assert child.wait(30) == 0
    key = '["undam_gateway_heartbeats"]'
    assert shared_metrics.snapshot()[key] == [2000]
    # A replacement process continues the counters, but not the gauge of requests in flight.
    successor = WorkerMetrics(SharedMetrics(os.dup(shared_metrics.fd), 3).region(1))
    successor.count(m.HEARTBEATS)
    assert shared_metrics.snapshot()[key] == [2001]
    assert shared_metrics.snapshot()['["undam_gateway_streams_in_flight"]'] == [0]


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0,*/*;q=0.1"])
def test_the_text_is_valid_in_both_formats(shared_metrics: SharedMetrics, accept: str) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for number in range(5):
        metrics.count(m.REQUESTS, "chat", str(number))
        metrics.observe(m.TTFT, 0.1, f"gpu-{number}", "", "chat", "openai")
    nasty = 'a"b\\c\n# HELP d\ud800\u2028' + "é" * 200
    metrics.observe(m.TTFT, 0.2, "gpu", clean_label(nasty), "chat", "openai")
    content_type, text = render(shared_metrics.snapshot(), accept)
    assert asyncio.run(scrape(shared_metrics.snapshot(), accept)) == (content_type, text)
    parse = parse_openmetrics if accept else parse_text
    assert ("openmetrics" in content_type) == bool(accept) == text.endswith(b"# EOF\n")
    families = {family.name: family for family in parse(text.decode())}
    assert set(families) == {family.name for family in m.FAMILIES}
    assert len(families["undam_gateway_requests"].samples) == 5
    assert text.count(b"# TYPE") == len(m.FAMILIES)
    model = families[m.TTFT.name].samples[0].labels["gen_ai_request_model"]
    assert model.startswith('a"b\\c\ufffd# HELP d')
    assert len(model.encode()) <= 96
    assert {family.type for family in families.values()} == {"counter", "gauge", "histogram"}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_the_text_equals_that_of_prometheus_client(
    shared_metrics: SharedMetrics, accept: str
) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    metrics.count(m.REQUESTS, 'a\\b"c\nd', "200", by=10**17)
    metrics.set(m.STREAMS, 7)
    add_sorted(metrics.series(m.GAP, *LABELS), m.GAP, [0.0001, 0.02, 0.02, 31.0])
    families: list[Metric] = []
    for family in m.FAMILIES:
        kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}.get(family.kind)
        found = (kind or HistogramMetricFamily)(family.name, family.help, labels=family.labels)
        families.append(found)
        for key, numbers in shared_metrics.snapshot().items():
            name, *labels = json.loads(key)
            if name == family.name and kind is None:
                edges = [*map(str, map(float, family.bounds_s)), "+Inf"]
                counts = accumulate(numbers[:-1])
                found.add_metric(labels, list(zip(edges, counts, strict=True)), numbers[-1] / 1e9)
            elif name == family.name:
                found.add_metric(labels, numbers[0])

    class FamilyCollector(Collector):
        def collect(self) -> list[Metric]:
            return families

    write: Callable[[Collector], bytes] = write_openmetrics if accept else write_text
    ours, theirs = (
        render(shared_metrics.snapshot(), accept)[1].decode(),
        write(FamilyCollector()).decode(),
    )

    # prometheus_client writes all values as floats and sorts labels, so the output is parsed first.
    assert _parsed(ours) == _parsed(theirs)


def test_invented_model_names_do_not_add_series(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for number in range(5000):
        label = metrics.models.acquire(f"made-up-{number}", float(number) / 10)
        metrics.observe(m.TTFT, 0.1, "gpu", label, "chat", "openai")
        metrics.models.release(label)
    series = [key for key in shared_metrics.snapshot() if m.TTFT.name in key]
    assert len(series) == 65
    assert sum(sum(shared_metrics.snapshot()[key][:-1]) for key in series) == 5000
    # A label that was not used for an hour is replaced, and its memory is reused.
    used = shared_metrics.region(0)._slots[0]
    for number in range(100):
        label = metrics.models.acquire(f"later-{number}", 1e6)
        metrics.observe(m.TTFT, 0.1, "gpu", label, "chat", "openai")
        metrics.models.release(label)
    assert len([key for key in shared_metrics.snapshot() if m.TTFT.name in key]) == 65
    assert shared_metrics.region(0)._slots[0] == used


def test_updates_lost_in_a_full_table_are_counted(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for number in range(4000):
        metrics.count(m.UPSTREAM_ERRORS, f"u{number}", "died")
    snapshot = shared_metrics.snapshot()
    kept = sum(1 for key in snapshot if "upstream_errors" in key)
    assert 1000 < kept < 4000
    assert snapshot['["undam_gateway_metrics_lost"]'] == [4000 - kept]
