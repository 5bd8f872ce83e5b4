"""Input for a comparison: a validated result of `undam bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from undam.errors import UsageError
from undam.json_values import require_int, require_number
from undam.timing import Histogram

SCHEMA = 1

LATENCIES = ("ttft", "itl", "tpot", "e2e")
STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p99.9")
RATES = ("requests_per_second", "events_per_second", "tokens_per_second")

# Enough spans to estimate their scatter, but few enough that each is longer than the time between
# bursts.
_SPANS = 20
# Larger values cannot be measurements, and could cause an overflow.
_MAX_VALUE = 10**15
_MAX_BLOCKS, _MAX_BITS = 128, 11
# A timeline has at most 200 sections, so a much larger position is invalid.
_MAX_SECTIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInput:
    """Input for a comparison.

    Attributes:
        name: the user's name of the run, usually a file.
        about: the whole result: url, model, load, client, findings and more.
        times: statistics of each latency in ms; ``None`` without values.
        counts: number of values of each latency.
        rates: rates per second.
        blocks: values of each latency by blocks of the plan.
        spans: ``events`` and ``answers`` in equal spans of time.
    """

    name: str
    requests: int
    failed: int
    duration_ms: float
    about: Mapping[str, Any]
    times: Mapping[str, Mapping[str, float | None]]
    counts: Mapping[str, int]
    rates: Mapping[str, float]
    blocks: Mapping[str, list[Histogram]]
    spans: Mapping[str, list[int]] = field(default_factory=dict)


def parse_run(result: object, name: str) -> RunInput:
    """Parse the JSON result of a run.

    Raises:
        UsageError: it is not a result of `undam bench`, or it is damaged.
    """
    if not isinstance(result, Mapping) or result.get("command") != "bench":
        raise UsageError(f"{name} is not a result of undam bench (--json or --record)")
    if result.get("schema") != SCHEMA:
        raise UsageError(
            f"{name} has schema {result.get('schema')!r}, but this version reads schema {SCHEMA}"
        )
    if "blocks" not in result:
        raise UsageError(
            f"{name} does not contain a single run (is it a sweep?); compare one run with another"
        )
    try:
        return _parse(result, name)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise UsageError(f"{name} is damaged ({reason})") from None


def _parse(result: Mapping[str, Any], name: str) -> RunInput:
    rows = result["blocks"]["rows"]
    return RunInput(
        name=name,
        requests=_count(result["requests"]),
        failed=_count(result["errors"]) + _count(result["incomplete"]),
        duration_ms=1000 * _amount(result["duration_s"]),
        about=result,
        times={
            latency: {key: _amount_or_none(result[f"{latency}_ms"][key]) for key in STATISTICS}
            for latency in LATENCIES
        },
        counts={latency: _count(result[f"{latency}_ms"]["count"]) for latency in LATENCIES},
        rates={rate: _amount(result[rate]) for rate in RATES},
        blocks={latency: _blocks(rows, latency) for latency in LATENCIES},
        spans=_spans(result["timeline"]),
    )


def _blocks(rows: Sequence[Mapping[str, Any]], latency: str) -> list[Histogram]:
    blocks = [Histogram.from_sparse(row[latency]) for row in rows]
    if len(blocks) > _MAX_BLOCKS or len({block.bits for block in blocks}) > 1:
        raise ValueError("inconsistent blocks")
    if any(block.bits > _MAX_BITS or block.count > _MAX_VALUE for block in blocks):
        raise ValueError("blocks out of range")
    return blocks


def _spans(timeline: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the timeline, including empty sections, as about twenty equal spans."""
    width = _amount(timeline["width_ms"])
    if width <= 0:
        raise ValueError("the width of the timeline is not positive")
    columns = {name: i for i, name in enumerate(timeline["columns"])}
    sections: dict[int, tuple[int, int]] = {}
    first = (
        _amount(timeline["rows"][0][columns["at_ms"]], least=-_MAX_VALUE)
        if timeline["rows"]
        else 0.0
    )
    for row in timeline["rows"]:
        position = round((_amount(row[columns["at_ms"]], least=-_MAX_VALUE) - first) / width)
        if not 0 <= position < _MAX_SECTIONS:
            raise ValueError("the timeline is not in order")
        answers = _count(row[columns["ended"]]) - _count(row[columns["failed"]])
        sections[position] = (_count(row[columns["events"]]), answers)
    each = max(1, (max(sections, default=0) + 1) // _SPANS)
    count = (max(sections, default=-1) + 1) // each
    events, answers_ = [0] * count, [0] * count
    for position, (n, ended) in sections.items():
        # The remaining sections at the end do not fill a span.
        if position // each < count:
            events[position // each] += n
            answers_[position // each] += ended
    return {"events": events, "answers": answers_}


def _amount(value: object, *, least: int = 0) -> float:
    return float(require_number(value, least=least, most=_MAX_VALUE))


def _amount_or_none(value: object) -> float | None:
    return None if value is None else _amount(value)


def _count(value: object) -> int:
    return require_int(value, most=_MAX_VALUE)
