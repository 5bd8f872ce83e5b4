"""The numbers of one worker, and the page that tells those of all.

Counting is an addition in shared memory (``metrics_shared``); prometheus_client is called when
somebody scrapes, and only then. How many series there are is bounded, whatever names clients make
up (``metric_models``).
"""

from __future__ import annotations

import asyncio
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.registry import Collector

from undam.gateway.metric_families import FAMILIES, LOST, WORKERS, Family
from undam.gateway.metric_models import ModelLabels
from undam.gateway.metrics_shared import Region, Snapshot

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_BY_NAME = {family.name: family for family in FAMILIES}
_EOF = b"# EOF\n"
# Where the model stands among the labels; only families with more labels than that have one.
_MODEL_AT = 1
# Series that are written in one go: a histogram takes about half a millisecond.
_AT_ONCE = 2
_ABOUT = re.compile(rb"^# .*\n", re.MULTILINE)


def key_of(family: Family, labels: Sequence[str]) -> str:
    """What a series is called in shared memory: JSON of its family's name and its labels."""
    return json.dumps([family.name, *labels], ensure_ascii=False, separators=(",", ":"))


class Metrics:
    """Counts for one worker.

    Args:
        region: the worker's part of a ``Board``. Its gauges start at 0, its counters go on.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self._known: dict[tuple[str, ...], memoryview[int]] = {}
        self._lost = self._numbers(LOST, ()) or memoryview(bytearray(8)).cast("q")
        self._denial = ""
        self.models = ModelLabels(self._drop_model)
        """Which models have series."""
        for key in region.keys():  # noqa: SIM118 (it is no mapping)
            name, *labels = json.loads(key)
            if _BY_NAME[name].kind == "gauge":
                self.set(_BY_NAME[name], 0, *labels)
            if len(labels) > _MODEL_AT + 1:
                self.models.adopt(labels[_MODEL_AT])
        self.set(WORKERS, 1)

    def series(self, family: Family, *labels: str) -> memoryview[int]:
        """The integers of a series, to add to; see ``metric_families`` for what they are.

        Where the table is full they are some that nobody reads, and ``metrics_lost`` counts it.
        """
        found = self._known.get((family.name, *labels))
        if found is None:
            found = self._numbers(family, labels)
            if found is None:
                self._lost[0] += 1
                return memoryview(bytearray(8 * family.numbers)).cast("q")
            self._known[(family.name, *labels)] = found
        return found

    def count(self, family: Family, *labels: str, by: int = 1) -> None:
        """Add to a counter, or to a gauge."""
        self.series(family, *labels)[0] += by

    def set(self, family: Family, value: int, *labels: str) -> None:
        """Let a gauge of this worker be so much; a scrape shows the sum over the workers."""
        self.series(family, *labels)[0] = value

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        """Add one value to a histogram."""
        self.observe_sorted(family, [seconds], *labels)

    def observe_sorted(self, family: Family, seconds: Sequence[float], *labels: str) -> None:
        """Add many at once, in ascending order: one search a bucket, however many they are."""
        numbers = self.series(family, *labels)
        before = 0
        for place, bound in enumerate(family.bounds_s):
            upto = bisect_right(seconds, bound, before)
            if upto != before:
                numbers[place] += upto - before
                before = upto
        numbers[-2] += len(seconds) - before
        numbers[-1] += round(sum(seconds) * 1e9)

    def denied_because(self, reason: str) -> None:
        """Why the hedge that the director is about to deny is denied; the next
        ``Observer.hedge_denied`` counts it under this reason."""
        self._denial = reason

    def take_denial(self) -> str:
        """The reason given last, once; "no-other-upstream" where none was."""
        reason, self._denial = self._denial or "no-other-upstream", ""
        return reason

    def _drop_model(self, model: str) -> None:
        for key in self._region.keys():  # noqa: SIM118
            name, *labels = json.loads(key)
            if labels[_MODEL_AT : _MODEL_AT + 1] == [model] and len(labels) > _MODEL_AT + 1:
                self._region.drop(key)
                self._known.pop((name, *labels), None)

    def _numbers(self, family: Family, labels: Sequence[str]) -> memoryview[int] | None:
        return self._region.numbers(key_of(family, labels), family.numbers)


@dataclass(frozen=True, slots=True)
class _One(Collector):
    metric: Metric

    def collect(self) -> Iterator[Metric]:
        yield self.metric


def render(snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
    """The whole page at once: its Content-Type and its bytes.

    Args:
        accept: what the scraper sent as Accept; it gets OpenMetrics where it names that.
    """
    return _joined(list(_parts(snapshot, accept)), accept)


async def scrape(snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
    """As ``render``, with the streams having their turn after every few series: a whole page may
    take longer than a token may be late."""
    parts = []
    for part in _parts(snapshot, accept):
        parts.append(part)
        await asyncio.sleep(0)
    return _joined(parts, accept)


def _wants_openmetrics(accept: str) -> bool:
    return "application/openmetrics-text" in accept


def _joined(parts: list[bytes], accept: str) -> tuple[str, bytes]:
    if _wants_openmetrics(accept):
        return OPENMETRICS, b"".join(parts) + _EOF
    return TEXT, b"".join(parts)


def _parts(snapshot: Snapshot, accept: str) -> Iterator[bytes]:
    """Every family with what is known of it, also where that is nothing: a dashboard that asks for
    a name then shows that it exists."""
    write: Callable[[Collector], bytes]
    write = as_openmetrics if _wants_openmetrics(accept) else as_text
    found: dict[str, list[tuple[list[str], list[int]]]] = {}
    for key, numbers in sorted(snapshot.items()):
        name, *labels = json.loads(key)
        found.setdefault(name, []).append((labels, numbers))
    for family in FAMILIES:
        series = found.get(family.name, [])
        for at in range(0, max(1, len(series)), _AT_ONCE):
            page = write(_One(_metric(family, series[at : at + _AT_ONCE]))).removesuffix(_EOF)
            yield page if at == 0 else _ABOUT.sub(b"", page)


def _metric(family: Family, series: list[tuple[list[str], list[int]]]) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.about, labels=family.labels)
        edges = [*(str(float(bound)) for bound in family.bounds_s), "+Inf"]
        for labels, numbers in series:
            buckets = list(zip(edges, accumulate(numbers[:-1]), strict=True))
            histogram.add_metric(labels, buckets, numbers[-1] / 1e9)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.about, labels=family.labels)
    for labels, numbers in series:
        metric.add_metric(labels, numbers[0])
    return metric
