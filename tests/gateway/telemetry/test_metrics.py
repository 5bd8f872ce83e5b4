"""The gateway's numbers: exact sums over workers, valid pages, a bound on what clients cause."""

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
from undam.gateway.telemetry.model_labels import OTHER, ModelLabels, clean_label
from undam.gateway.telemetry.shared_memory import SharedMetrics, merge

LABELS = ("gpu-1", "llama", "chat", "openai")


@pytest.fixture
def shared_metrics() -> Iterator[SharedMetrics]:
    shared_metrics = SharedMetrics.make(3)
    yield shared_metrics
    os.close(shared_metrics.fd)


# Another worker, which ends as a crash does.
_OTHER = """
import os, sys
from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.shared_memory import SharedMetrics

there = WorkerMetrics(SharedMetrics(int(sys.argv[1]), 3).region(1))
for _ in range(1000):
    there.count(m.HEARTBEATS)
there.set(m.STREAMS, 7)
os._exit(0)
"""


def _samples(page: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in parse_text(page.decode())
        for sample in family.samples
    }


def _parsed(page: str) -> list[object]:
    """Line by line: a comment as it is, a series as its name, its sorted labels and its value."""
    told: list[object] = []
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        told.append(
            line if line[0] == "#" else (name, sorted(labels.rstrip("}").split(",")), float(value))
        )
    return told


def test_one_scrape_tells_of_all_workers_exactly(shared_metrics: SharedMetrics) -> None:
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


def test_a_value_on_a_bound_belongs_to_its_bucket(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for bound in m.TTFT_S:
        metrics.observe(m.TTFT, bound, *LABELS)
    assert metrics.series(m.TTFT, *LABELS).tolist()[:-1] == [1] * len(m.TTFT_S) + [0]


def test_two_processes_count_at_once_and_one_that_died_is_not_forgotten(
    shared_metrics: SharedMetrics,
) -> None:
    command = [sys.executable, "-c", _OTHER, str(shared_metrics.fd)]
    with subprocess.Popen(command, pass_fds=[shared_metrics.fd]) as child:
        here = WorkerMetrics(shared_metrics.region(0))
        for _ in range(1000):
            here.count(m.HEARTBEATS)
        assert child.wait(30) == 0
    key = '["undam_gateway_heartbeats"]'
    assert shared_metrics.snapshot()[key] == [2000]
    # Whoever takes its place goes on with its counters; what it had in flight is gone.
    successor = WorkerMetrics(SharedMetrics(os.dup(shared_metrics.fd), 3).region(1))
    successor.count(m.HEARTBEATS)
    assert shared_metrics.snapshot()[key] == [2001]
    assert shared_metrics.snapshot()['["undam_gateway_streams_in_flight"]'] == [0]


def test_a_series_left_half_written_by_a_death_is_given_up(shared_metrics: SharedMetrics) -> None:
    region = shared_metrics.region(0)
    region.numbers("half", 1)
    region.numbers("whole", 1)
    region._slots[1] += 1  # as if it had died while it changed the first
    assert list(shared_metrics.snapshot()) == ["whole"]
    again = shared_metrics.region(0)
    assert again.keys() == ["whole"]
    assert again.numbers("new", 1) is not None
    assert set(shared_metrics.snapshot()) == {"whole", "new"}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0,*/*;q=0.1"])
def test_pages_are_what_they_say(shared_metrics: SharedMetrics, accept: str) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for number in range(5):
        metrics.count(m.REQUESTS, "chat", str(number))
        metrics.observe(m.TTFT, 0.1, f"gpu-{number}", "", "chat", "openai")
    nasty = 'a"b\\c\n# HELP d\ud800\u2028' + "é" * 200
    metrics.observe(m.TTFT, 0.2, "gpu", clean_label(nasty), "chat", "openai")
    kind, page = render(shared_metrics.snapshot(), accept)
    assert asyncio.run(scrape(shared_metrics.snapshot(), accept)) == (kind, page)
    parse = parse_openmetrics if accept else parse_text
    assert ("openmetrics" in kind) == bool(accept) == page.endswith(b"# EOF\n")
    families = {family.name: family for family in parse(page.decode())}
    assert set(families) == {family.name for family in m.FAMILIES}
    assert len(families["undam_gateway_requests"].samples) == 5
    assert page.count(b"# TYPE") == len(m.FAMILIES)
    model = families[m.TTFT.name].samples[0].labels["gen_ai_request_model"]
    assert model.startswith('a"b\\c\ufffd# HELP d')
    assert len(model.encode()) <= 96
    assert {family.type for family in families.values()} == {"counter", "gauge", "histogram"}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_the_page_is_what_the_client_of_prometheus_writes(
    shared_metrics: SharedMetrics, accept: str
) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    metrics.count(m.REQUESTS, 'a\\b"c\nd', "200", by=10**17)
    metrics.set(m.STREAMS, 7)
    add_sorted(metrics.series(m.GAP, *LABELS), m.GAP, [0.0001, 0.02, 0.02, 31.0])
    families: list[Metric] = []
    for family in m.FAMILIES:
        kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}.get(family.kind)
        found = (kind or HistogramMetricFamily)(family.name, family.about, labels=family.labels)
        families.append(found)
        for key, numbers in shared_metrics.snapshot().items():
            name, *labels = json.loads(key)
            if name == family.name and kind is None:
                edges = [*map(str, map(float, family.bounds_s)), "+Inf"]
                counts = accumulate(numbers[:-1])
                found.add_metric(labels, list(zip(edges, counts, strict=True)), numbers[-1] / 1e9)
            elif name == family.name:
                found.add_metric(labels, numbers[0])

    class Theirs(Collector):
        def collect(self) -> list[Metric]:
            return families

    write: Callable[[Collector], bytes] = write_openmetrics if accept else write_text
    ours, theirs = render(shared_metrics.snapshot(), accept)[1].decode(), write(Theirs()).decode()

    # They write every number as a float, and the labels by name.
    assert _parsed(ours) == _parsed(theirs)


def test_names_that_clients_make_up_cost_nothing(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for number in range(5000):
        label = metrics.models.take(f"made-up-{number}", float(number) / 10)
        metrics.observe(m.TTFT, 0.1, "gpu", label, "chat", "openai")
        metrics.models.release(label)
    series = [key for key in shared_metrics.snapshot() if m.TTFT.name in key]
    assert len(series) == 65
    assert sum(sum(shared_metrics.snapshot()[key][:-1]) for key in series) == 5000
    # After an hour without anybody asking, one makes room for another, and the room is used again.
    used = shared_metrics.region(0)._slots[0]
    for number in range(100):
        label = metrics.models.take(f"later-{number}", 1e6)
        metrics.observe(m.TTFT, 0.1, "gpu", label, "chat", "openai")
        metrics.models.release(label)
    assert len([key for key in shared_metrics.snapshot() if m.TTFT.name in key]) == 65
    assert shared_metrics.region(0)._slots[0] == used


def test_a_model_in_flight_keeps_its_place() -> None:
    dropped: list[str] = []
    labels = ModelLabels(dropped.append, most=1, idle_s=10)
    assert labels.take("a", 0.0) == "a"
    assert labels.take("b", 100.0) == OTHER
    labels.release("a")
    assert (labels.take("b", 100.0), dropped) == ("b", ["a"])
    assert [labels.known(name) for name in ("a", "b", "")] == [OTHER, "b", ""]


def test_a_full_table_counts_what_it_lost(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    for number in range(4000):
        metrics.count(m.UPSTREAM_ERRORS, f"u{number}", "died")
    snapshot = shared_metrics.snapshot()
    kept = sum(1 for key in snapshot if "upstream_errors" in key)
    assert 1000 < kept < 4000
    assert snapshot['["undam_gateway_metrics_lost"]'] == [4000 - kept]


def test_merging_adds_what_both_have_and_keeps_the_rest() -> None:
    one, other = {"a": [1, 2], "b": [3]}, {"a": [10, 20], "c": [4]}
    assert merge([one, other]) == {"a": [11, 22], "b": [3], "c": [4]}
    assert one == {"a": [1, 2], "b": [3]}
