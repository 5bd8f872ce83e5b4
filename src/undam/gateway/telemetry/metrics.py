"""Metrics of one worker, and the metrics of all workers as text.

Counting is an addition in shared memory (``shared_memory``); text is only created for a scrape.
The number of series is bounded, whatever model names clients send (``model_labels``).

prometheus_client is not used: it takes 17 times as long to create the text and 3.5 MB of memory
per worker. The tests compare this module's output with its parsers and its own output.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from undam.gateway.telemetry.metric_definitions import FAMILIES, LOST, WORKERS, Family
from undam.gateway.telemetry.model_labels import ModelLabels
from undam.gateway.telemetry.shared_memory import Region, Snapshot

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_BY_NAME = {family.name: family for family in FAMILIES}
# Index of the model among a family's labels. Families with fewer labels have no model label.
_MODEL_INDEX = 1
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def key_of(family: Family, labels: Sequence[str]) -> str:
    """Return the key of a series in shared memory: its family name and labels as JSON."""
    return json.dumps([family.name, *labels], ensure_ascii=False, separators=(",", ":"))


class WorkerMetrics:
    """Metrics of one worker.

    Args:
        region: the worker's part of a ``SharedMetrics``. Gauges in it are reset to 0; counters
            of an earlier process continue.

    Attributes:
        models: which models have series.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self._known: dict[tuple[str, ...], memoryview[int]] = {}
        self._lost = self._numbers(LOST, ()) or memoryview(bytearray(8)).cast("q")
        self._denial = ""
        self.models = ModelLabels(self._drop_model)
        for key in region.keys():  # noqa: SIM118 (not a mapping)
            name, *labels = json.loads(key)
            if _BY_NAME[name].kind == "gauge":
                self.set(_BY_NAME[name], 0, *labels)
            if len(labels) > _MODEL_INDEX + 1:
                self.models.adopt(labels[_MODEL_INDEX])
        self.set(WORKERS, 1)

    def series(self, family: Family, *labels: str) -> memoryview[int]:
        """Return the integers of a series, to be incremented; see ``metric_definitions``.

        If the table is full, the integers are not exported, and ``metrics_lost`` is incremented.
        """
        key = (family.name, *labels)
        found = self._known.get(key)
        if found is None:
            found = self._numbers(family, labels)
            if found is None:
                self._lost[0] += 1
                return memoryview(bytearray(8 * family.numbers)).cast("q")
            self._known[key] = found
        return found

    def count(self, family: Family, *labels: str, by: int = 1) -> None:
        """Add to a counter or a gauge."""
        self.series(family, *labels)[0] += by

    def set(self, family: Family, value: int, *labels: str) -> None:
        """Set a gauge of this worker; a scrape returns the sum over all workers."""
        self.series(family, *labels)[0] = value

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        """Add one value to a histogram."""
        numbers = self.series(family, *labels)
        numbers[bisect_left(family.bounds_s, seconds)] += 1
        numbers[-1] += int(seconds * 1e9 + 0.5)

    def set_denial_reason(self, reason: str) -> None:
        """Set the denial reason for the next ``Observer.hedge_denied``."""
        self._denial = reason

    def take_denial_reason(self) -> str:
        """Return and clear the denial reason; "no-other-upstream" if none was set."""
        reason, self._denial = self._denial or "no-other-upstream", ""
        return reason

    def drop_upstream(self, upstream: str) -> None:
        """Remove the series of an upstream that was removed and has no requests.

        Otherwise, replicas whose names contain their addresses would fill the table over time.
        """
        for key in self._region.keys():  # noqa: SIM118
            name, *labels = json.loads(key)
            if labels and labels[0] == upstream and _BY_NAME[name].labels[0] == "upstream":
                self._region.drop(key)
                self._known.pop((name, *labels), None)

    def _drop_model(self, model: str) -> None:
        for key in self._region.keys():  # noqa: SIM118
            name, *labels = json.loads(key)
            if len(labels) > _MODEL_INDEX + 1 and labels[_MODEL_INDEX] == model:
                self._region.drop(key)
                self._known.pop((name, *labels), None)

    def _numbers(self, family: Family, labels: Sequence[str]) -> memoryview[int] | None:
        return self._region.numbers(key_of(family, labels), family.numbers)


def add_sorted(series: memoryview[int], family: Family, seconds: Sequence[float]) -> None:
    """Add many values, in ascending order, to a ``series`` of the histogram ``family``.

    The cost is two binary searches for each bucket that gets a value.
    """
    series[-1] += int(sum(seconds) * 1e9 + 0.5)
    bounds_s, count = family.bounds_s, len(seconds)
    start = 0
    while start < count:
        bucket = bisect_left(bounds_s, seconds[start])
        end = count
        if bucket < len(bounds_s):
            end = bisect_right(seconds, bounds_s[bucket], start)
        series[bucket] += end - start
        start = end


def render(snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
    """Return the Content-Type and the text of all metrics.

    Args:
        accept: the Accept header of the scrape, which may request OpenMetrics.
    """
    return _joined(list(_parts(snapshot, accept)), accept)


async def scrape(snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
    """Return the result of `render`, but yield to the event loop after each series.

    Creating a long text takes longer than a token may be delayed.
    """
    parts = []
    for part in _parts(snapshot, accept):
        parts.append(part)
        await asyncio.sleep(0)
    return _joined(parts, accept)


def _wants_openmetrics(accept: str) -> bool:
    return "application/openmetrics-text" in accept


def _joined(parts: list[str], accept: str) -> tuple[str, bytes]:
    if _wants_openmetrics(accept):
        return OPENMETRICS, "".join([*parts, "# EOF\n"]).encode()
    return TEXT, "".join(parts).encode()


def _parts(snapshot: Snapshot, accept: str) -> Iterator[str]:
    """Yield the lines of every family, including families without series.

    Dashboards can then use each name before its first value.
    """
    open_metrics = _wants_openmetrics(accept)
    found: dict[str, list[tuple[list[str], list[int]]]] = {}
    for key, numbers in sorted(snapshot.items()):
        name, *labels = json.loads(key)
        found.setdefault(name, []).append((labels, numbers))
    for family in FAMILIES:
        # In these lines, the Prometheus format uses the name of the sample, and OpenMetrics uses
        # the name of the family.
        name = family.name
        if family.kind == "counter" and not open_metrics:
            name += "_total"
        yield f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
        for labels, numbers in found.get(family.name, []):
            yield _series(family, labels, numbers)


def _series(family: Family, labels: list[str], numbers: list[int]) -> str:
    named = ",".join(
        f'{name}="{text.translate(_ESCAPES)}"'
        for name, text in zip(family.labels, labels, strict=True)
    )
    braced = f"{{{named}}}" if named else ""
    if family.kind != "histogram":
        return f"{family.name}{'_total' * (family.kind == 'counter')}{braced} {numbers[0]}\n"
    comma = "," if named else ""
    edges = [*(str(float(bound)) for bound in family.bounds_s), "+Inf"]
    counts = list(accumulate(numbers[:-1]))
    lines = [
        f'{family.name}_bucket{{{named}{comma}le="{edge}"}} {count}\n'
        for edge, count in zip(edges, counts, strict=True)
    ]
    lines.append(f"{family.name}_count{braced} {counts[-1]}\n")
    lines.append(f"{family.name}_sum{braced} {numbers[-1] / 1e9}\n")
    return "".join(lines)
