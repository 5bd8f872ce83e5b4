"""Parts of the JSON result: distributions in ms, and single requests."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from undam.metrics.causes import PERCENTILES
from undam.record import RequestResult
from undam.timing import Histogram, to_ms


def percentiles(times: Histogram) -> dict[str, Any]:
    """Return count, extremes, mean and percentiles; times are in ms, or ``None`` without values."""
    row: dict[str, Any] = {"count": times.count}
    if times.min is None or times.max is None:
        return row | dict.fromkeys(["min", "mean", *(name for name, _ in PERCENTILES), "max"])
    found = times.quantiles(*(q for _, q in PERCENTILES))
    row |= {"min": to_ms(times.min), "mean": to_ms(times.mean())}
    row |= {name: to_ms(value) for (name, _), value in zip(PERCENTILES, found, strict=True)}
    return row | {"max": to_ms(times.max)}


def request_json(one: RequestResult) -> dict[str, object]:
    """Return the metrics of one request."""
    return {
        "number": one.number,
        "worker": one.worker,
        "outcome": one.outcome.value,
        "kind": one.kind,
        "send_delay_ms": None if one.send_delay_ns is None else to_ms(one.send_delay_ns),
        "ttft_ms": None if one.ttft_ns is None else to_ms(one.ttft_ns),
        "e2e_ms": to_ms(one.ended_ns - one.intended_ns),
        "events": one.events,
        "longest_gap_ms": _longest_gap(one),
    }


def _longest_gap(one: RequestResult) -> float | None:
    times = [read.at_ns for read in one.reads]
    gaps = [after - before for before, after in pairwise(times)]
    return to_ms(max(gaps)) if gaps else None
