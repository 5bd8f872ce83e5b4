"""One side of a comparison: a result of `undam bench`, checked, with what tells its noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from undam.errors import UsageError
from undam.timing import Histogram

SCHEMA = 1

LATENCIES = ("ttft", "itl", "tpot", "e2e")
STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p99.9")
RATES = ("requests_per_second", "events_per_second", "tokens_per_second")

# Enough to know their scatter, and each long beside an answer's own rhythm.
_SPANS = 20
# Whatever is larger was not measured, and would overflow the arithmetic.
_MOST = 10**15
_MOST_BLOCKS, _MOST_BITS = 128, 11
# A timeline has at most 200 sections, so a larger place is hostile.
_MOST_SECTIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInput:
    """A run as a comparison sees it.

    Attributes:
        name: the user's word for it, mostly a file.
        about: the result's own words: url, model, load, client, findings and all else.
        times: statistic by latency, ms; ``None`` where there was no value.
        counts: values of each latency.
        rates: a second.
        blocks: of each latency, its values by parts of the plan.
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
    """Read the JSON of a run.

    Raises:
        UsageError: it is no result of `undam bench`, or damaged; says what is wrong.
    """
    if not isinstance(result, Mapping) or result.get("command") != "bench":
        raise UsageError(f"{name} is no result of undam bench (--json or --record)")
    if result.get("schema") != SCHEMA:
        raise UsageError(
            f"{name} has schema {result.get('schema')!r}, and this version reads {SCHEMA}"
        )
    if "blocks" not in result:
        raise UsageError(f"{name} holds no single run (a sweep?): compare one run with one run")
    try:
        return _side(result, name)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = f"{type(error).__name__}: {error}"[:120]
        raise UsageError(f"{name} is damaged ({said})") from None


def _side(result: Mapping[str, Any], name: str) -> RunInput:
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
    if len(blocks) > _MOST_BLOCKS or len({block.bits for block in blocks}) > 1:
        raise ValueError("blocks that do not belong together")
    if any(block.bits > _MOST_BITS or block.count > _MOST for block in blocks):
        raise ValueError("blocks out of range")
    return blocks


def _spans(timeline: Mapping[str, Any]) -> dict[str, list[int]]:
    """What the timeline's sections saw, with the empty ones, in some twenty equal spans."""
    width = _amount(timeline["width_ms"])
    if width <= 0:
        raise ValueError("a timeline without width")
    columns = {name: i for i, name in enumerate(timeline["columns"])}
    sections: dict[int, tuple[int, int]] = {}
    first = (
        _amount(timeline["rows"][0][columns["at_ms"]], least=-_MOST) if timeline["rows"] else 0.0
    )
    for row in timeline["rows"]:
        place = round((_amount(row[columns["at_ms"]], least=-_MOST) - first) / width)
        if not 0 <= place < _MOST_SECTIONS:
            raise ValueError("a timeline out of order")
        answers = _count(row[columns["ended"]]) - _count(row[columns["failed"]])
        sections[place] = (_count(row[columns["events"]]), answers)
    each = max(1, (max(sections, default=0) + 1) // _SPANS)
    count = (max(sections, default=-1) + 1) // each
    events, answers_ = [0] * count, [0] * count
    for place, (n, ended) in sections.items():
        # What is left at the end is no whole span.
        if place // each < count:
            events[place // each] += n
            answers_[place // each] += ended
    return {"events": events, "answers": answers_}


def _amount(value: object, *, least: int = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    if not least <= value <= _MOST:
        raise ValueError(f"{value!r} is out of range")
    return float(value)


def _amount_or_none(value: object) -> float | None:
    return None if value is None else _amount(value)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise TypeError(f"{value!r} is no count")
    return value
