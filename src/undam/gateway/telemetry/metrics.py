"""The numbers of one worker, and the page that tells those of all.

Counting is an addition in shared memory (``metrics_shared``); text is made when somebody scrapes,
and only then. How many series there are is bounded, whatever names clients make up
(``metric_models``). prometheus_client would make the text, too, in 17 ms instead of 1 for 27
histograms, and takes 3.5 MB of each worker; the tests hold this page to its parsers and its writer.
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
# Where the model stands among the labels; only families with more labels than that have one.
_MODEL_AT = 1
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def key_of(family: Family, labels: Sequence[str]) -> str:
    """What a series is called in shared memory: JSON of its family's name and its labels."""
    return json.dumps([family.name, *labels], ensure_ascii=False, separators=(",", ":"))


class WorkerMetrics:
    """Counts for one worker.

    Args:
        region: the worker's part of a ``SharedMetrics``. Its gauges start at 0, its counters go on.
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
        """Add to a counter, or to a gauge."""
        self.series(family, *labels)[0] += by

    def set(self, family: Family, value: int, *labels: str) -> None:
        """Let a gauge of this worker be so much; a scrape shows the sum over the workers."""
        self.series(family, *labels)[0] = value

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        """Add one value to a histogram."""
        numbers = self.series(family, *labels)
        numbers[bisect_left(family.bounds_s, seconds)] += 1
        numbers[-1] += int(seconds * 1e9 + 0.5)

    def denied_because(self, reason: str) -> None:
        """Why the hedge that the router is about to deny is denied; the next
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


def add_sorted(series: memoryview[int], family: Family, seconds: Sequence[float]) -> None:
    """Add many values at once, in ascending order, to a ``series`` of the histogram ``family``:
    two searches for each bucket that gets some."""
    series[-1] += int(sum(seconds) * 1e9 + 0.5)
    bounds_s, many = family.bounds_s, len(seconds)
    at = 0
    while at < many:
        place = bisect_left(bounds_s, seconds[at])
        upto = many
        if place < len(bounds_s):
            upto = bisect_right(seconds, bounds_s[place], at)
        series[place] += upto - at
        at = upto


def render(snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
    """The whole page at once: its Content-Type and its bytes.

    Args:
        accept: what the scraper sent as Accept; it gets OpenMetrics where it names that.
    """
    return _joined(list(_parts(snapshot, accept)), accept)


async def scrape(snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
    """As ``render``, with the streams having their turn after each series: a large page takes
    longer than a token may be late."""
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
    """Every family with what is known of it, also where that is nothing: a dashboard that asks for
    a name then shows that it exists."""
    open_metrics = _wants_openmetrics(accept)
    found: dict[str, list[tuple[list[str], list[int]]]] = {}
    for key, numbers in sorted(snapshot.items()):
        name, *labels = json.loads(key)
        found.setdefault(name, []).append((labels, numbers))
    for family in FAMILIES:
        # The older format has the sample's name here, OpenMetrics that of the family.
        told = family.name
        if family.kind == "counter" and not open_metrics:
            told += "_total"
        yield f"# HELP {told} {family.about}\n# TYPE {told} {family.kind}\n"
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
