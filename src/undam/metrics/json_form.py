"""Parts of the result's JSON: distributions in ms, findings, requests."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from undam.metrics.causes import PERCENTILES
from undam.record import RequestResult
from undam.timing import Histogram


def ms(ns: float) -> float:
    """Milliseconds, exact to the nanosecond."""
    return round(ns / 1e6, 6)


def percentiles(times: Histogram) -> dict[str, Any]:
    """Count, extremes, mean and percentiles in ms; ``None`` where there is no value."""
    row: dict[str, Any] = {"count": times.count}
    if times.min is None or times.max is None:
        return row | dict.fromkeys(["min", "mean", *(name for name, _ in PERCENTILES), "max"])
    found = times.quantiles(*(q for _, q in PERCENTILES))
    row |= {"min": ms(times.min), "mean": ms(times.mean())}
    row |= {name: ms(value) for (name, _), value in zip(PERCENTILES, found, strict=True)}
    return row | {"max": ms(times.max)}


def request_json(one: RequestResult) -> dict[str, object]:
    """One request in a line's worth of figures."""
    return {
        "number": one.number,
        "worker": one.worker,
        "outcome": one.outcome.value,
        "kind": one.kind,
        "send_delay_ms": None if one.send_delay_ns is None else ms(one.send_delay_ns),
        "ttft_ms": None if one.ttft_ns is None else ms(one.ttft_ns),
        "e2e_ms": ms(one.ended_ns - one.intended_ns),
        "events": one.events,
        "longest_gap_ms": _longest(one),
    }


def _longest(one: RequestResult) -> float | None:
    times = [read.at_ns for read in one.reads]
    gaps = [after - before for before, after in pairwise(times)]
    return ms(max(gaps)) if gaps else None
