"""Result of `undam watch`, as one line or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from undam.cli.commands.watch.stream import Watched
from undam.cli.ui.numbers import plural
from undam.client.timing import STALL_MS
from undam.diagnosis.hop import events_per_read, hop_metrics, is_complete
from undam.rules import Severity, Verdict
from undam.timing import quantile


def is_clean(watched: Watched) -> bool:
    """Return whether the stream is complete and, as far as known, was not held."""
    worst = {one.severity for one in watched.findings} - {Severity.INFO}
    return not worst and not watched.hop.shape.held


def closing_line(watched: Watched) -> str:
    """Return TTFT, ITL, rate, size and verdict, then findings about the end of the stream."""
    hop = watched.hop
    row, gaps, rate = hop_metrics(hop), _gaps_ms(watched), _tokens_per_second(watched)
    parts = []
    if isinstance(ttft := row["ttft_ms"], float):
        parts.append(f"TTFT {ttft:.1f} ms")
    if gaps:
        parts.append(f"ITL p50 {quantile(gaps, 0.5):.1f} ms p99 {quantile(gaps, 0.99):.1f} ms")
    if rate is not None:
        parts.append(f"{rate:.1f} tokens/s")
    seconds = (hop.exchange.ended_ns - hop.reading.sent_ns) / 1e9
    parts.append(f"{plural(len(hop.reading.contents), 'event')} in {seconds:.1f} s")
    if (most := events_per_read(hop.reading)["max"]) > 1:
        parts.append(f"up to {most} in one read")
    if stalls := _stalls(gaps):
        parts.append(plural(stalls, "stall"))
    if beats := _heartbeats(watched):
        parts.append(plural(beats, "heartbeat"))
    line = ", ".join(parts) + f": {hop.shape.verdict.value}"
    if hop.shape.verdict is Verdict.UNKNOWN and hop.shape.reason and not watched.interrupted:
        line += f" ({hop.shape.reason})"
    if watched.interrupted:
        return f"{line}; interrupted"
    return "; ".join([line, *(f"{one.code}: {one.message}" for one in watched.findings)])


def watched_json(watched: Watched) -> dict[str, Any]:
    """Return the result as JSON data in schema 1, with times in milliseconds."""
    hop = watched.hop
    gaps, rate = _gaps_ms(watched), _tokens_per_second(watched)
    row = hop_metrics(hop)
    return {
        "schema": 1,
        "command": "watch",
        "verdict": row["verdict"],
        "url": row["url"],
        "headers_ms": row["headers_ms"],
        "ttft_ms": row["ttft_ms"],
        "e2e_ms": row["e2e_ms"],
        "itl_ms": None
        if not gaps
        else {
            "p50": round(quantile(gaps, 0.5), 3),
            "p99": round(quantile(gaps, 0.99), 3),
            "max": round(gaps[-1], 3),
        },
        "tokens_per_second": None if rate is None else round(rate, 1),
        "events": row["events"],
        "reads": row["reads"],
        "events_per_read": row["events_per_read"],
        "stalls": _stalls(gaps),
        "heartbeats": _heartbeats(watched),
        "output_tokens": _output_tokens(watched),
        "text": "".join(item.text for item in hop.reading.contents),
        "complete": None if watched.interrupted else is_complete(hop.reading),
        "interrupted": watched.interrupted,
        "findings": [
            {"code": one.code, "slug": one.slug, "severity": one.severity.value,
             "message": one.message, "evidence": dict(one.evidence)}
            for one in watched.findings
        ],
        "clock": {"source": hop.exchange.clock},
    }  # fmt: skip


def _gaps_ms(watched: Watched) -> list[float]:
    """Return the gaps between reads with content, in ascending order.

    Events of the same read have no measurable gap.
    """
    times: dict[int, int] = {}
    for item in watched.hop.reading.contents:
        times[item.read] = item.at_ns
    return sorted((b - a) / 1e6 for a, b in pairwise(times.values()))


def _stalls(gaps_ms: Sequence[float]) -> int:
    return sum(gap >= STALL_MS for gap in gaps_ms)


def _tokens_per_second(watched: Watched) -> float | None:
    contents = watched.hop.reading.contents
    if watched.hop.shape.verdict is Verdict.HELD_TO_END or len(contents) < 2:
        return None  # a burst does not show the rate of the model
    span_s = (contents[-1].at_ns - contents[0].at_ns) / 1e9
    tokens = _output_tokens(watched) or len(contents)
    return (tokens - 1) / span_s if span_s > 0 else None


def _output_tokens(watched: Watched) -> int | None:
    counts = [s.meaning.tokens for s in watched.hop.reading.items if s.meaning and s.meaning.tokens]
    return counts[-1] if counts else None


def _heartbeats(watched: Watched) -> int:
    return sum(
        item.meaning is None or item.meaning.kind.value == "heartbeat"
        for item in watched.hop.reading.items
    )
