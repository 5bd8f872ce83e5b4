"""Server metrics during a run, and the parts of TTFT: queue, engine and hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undam.metrics.server.engines import GAUGES, EngineMetrics, value_of
from undam.metrics.summary import Summary
from undam.timing import Histogram, to_ms

PARTS = ("client", "queue", "engine", "hop")
"""Names of the parts of TTFT."""

# A chart could not show more rows.
_MAX_ROWS = 200
# Parts of TTFT that are shorter than this are negligible.
_NEGLIGIBLE_MS = 1.0


@dataclass(frozen=True, slots=True)
class ServerSample:
    """Totals that the server had published at one time."""

    at_ns: int
    totals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TtftParts:
    """Mean TTFT in ms, split into parts; unknown parts are ``None``.

    Attributes:
        client: from the intended start until the request was sent.
        queue: waiting in the server's queue.
        engine: prefill, from the server's own TTFT; if that is unknown, the hop is part of it.
        hop: the rest: network and intermediaries.
    """

    client: float
    queue: float | None
    engine: float | None
    hop: float | None

    @property
    def longest(self) -> str | None:
        """Name of the longest part; ``None`` if all parts are negligible."""
        parts = {name: getattr(self, name) or 0.0 for name in PARTS}
        name = max(parts, key=parts.__getitem__)
        return name if parts[name] >= _NEGLIGIBLE_MS else None


class ServerTimeline:
    """Samples of one server during a run."""

    def __init__(self, engine: EngineMetrics, samples: Sequence[ServerSample]) -> None:
        self._engine = engine
        self._samples = sorted(samples, key=lambda sample: sample.at_ns)

    def to_json(self, summary: Summary) -> dict[str, Any]:
        """Return the metrics over time and the parts of TTFT; times are relative to the start."""
        start_ns = summary.first_ns or 0
        rows = [
            [to_ms(sample.at_ns - start_ns), *(self._value(sample, kind) for kind in GAUGES)]
            for sample in self._thinned()
        ]
        parts = self.ttft_parts(summary)
        hits, queries = self._increase("cache_hits"), self._increase("cache_queries")
        return {
            "engine": self._engine.engine,
            "samples": len(self._samples),
            "columns": ["at_ms", *GAUGES],
            "rows": rows,
            **{f"{kind}_max": self._most(kind) for kind in GAUGES},
            "ttft_ms": _rounded(self._mean_ms("ttft")),
            "queue_ms": _rounded(parts.queue),
            "cache_hit_percent": round(100 * hits / queries, 2) if hits is not None and queries
            else None,
            "ttft_parts_ms": {name: _rounded(getattr(parts, name)) for name in PARTS},
            "late": parts.longest,
        }  # fmt: skip

    def ttft_parts(self, summary: Summary) -> TtftParts:
        """Split the mean TTFT of the run into its parts."""
        whole, sent = summary.times("ttft"), summary.ttft_from_sent
        from_sent_ms = _mean(sent) or 0.0
        client = max(0.0, (_mean(whole) or 0.0) - from_sent_ms)
        queue, own = self._queue_ms(summary), self._mean_ms("ttft")
        if own is None:
            engine = max(0.0, from_sent_ms - (queue or 0.0))
            return TtftParts(client, queue, engine if sent.count else None, None)
        hop = max(0.0, from_sent_ms - own)
        return TtftParts(client, queue, max(0.0, own - (queue or 0.0)), hop)

    def _queue_ms(self, summary: Summary) -> float | None:
        """Return the mean queueing time: as published, or from the queue length by Little's law."""
        published = self._mean_ms("queue_time")
        if published is not None:
            return published
        lengths = [self._value(sample, "waiting") for sample in self._during(summary)]
        known = [length for length in lengths if length is not None]
        rate = summary.rate(summary.requests)
        return 1000 * sum(known) / len(known) / rate if known and rate else None

    def _during(self, summary: Summary) -> list[ServerSample]:
        first, last = summary.first_ns or 0, summary.last_ns or 0
        return [sample for sample in self._samples if first <= sample.at_ns <= last]

    def _mean_ms(self, kind: str) -> float | None:
        """Return the mean of a published histogram over the run, in ms."""
        total, count = self._increase(kind, "_sum"), self._increase(kind, "_count")
        return 1000 * total / count if total is not None and count else None

    def _increase(self, kind: str, suffix: str = "") -> float | None:
        values = [value_of(self._engine, kind, one.totals, suffix) for one in self._samples]
        known = [value for value in values if value is not None]
        # If the server restarts, its counters start again at zero.
        return max(0.0, known[-1] - known[0]) if len(known) > 1 else None

    def _value(self, sample: ServerSample, kind: str) -> float | None:
        return value_of(self._engine, kind, sample.totals)

    def _most(self, kind: str) -> float | None:
        values = (self._value(sample, kind) for sample in self._samples)
        return max((value for value in values if value is not None), default=None)

    def _thinned(self) -> Sequence[ServerSample]:
        return self._samples[:: -(-len(self._samples) // _MAX_ROWS) or 1]


def _mean(times: Histogram) -> float | None:
    return times.mean() / 1e6 if times.count else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
