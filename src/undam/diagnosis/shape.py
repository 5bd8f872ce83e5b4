"""Classification of a stream from its arrivals alone: whether it is held, and in what pattern.

The bounds are chosen so that a healthy stream is never reported as held: a speculative decoder
emits 1 to 5 tokens at a time, a model pauses, a network jitters. If the evidence proves neither,
the verdict is `unknown`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from undam.diagnosis.blocks import FEW_BURSTS, SPECULATIVE, are_cut, block_of, threshold_of
from undam.diagnosis.bursts import Burst, find_bursts, together_ns
from undam.diagnosis.findings.network import (
    is_far,
    round_trip_ns,
    typical_pause_ns,
    why_flow,
    why_jitter,
    why_segments,
    why_windows,
)
from undam.diagnosis.reading import Reading
from undam.rules import Verdict
from undam.timing import median, quantile

MIN_EVENTS = 8
"""Minimum number of content events for a verdict without a beacon's due times."""

# The fastest engines take about 0.5 ms per token. An answer that arrived sooner was not generated
# during the request, so its timing shows nothing.
_FASTEST_TOKEN_NS = 500_000
_SHORTEST_WAIT_NS = 50_000_000

# A hop's timer has even periods, which differ by at most one gap of the source.
_EVEN_SPREAD = 0.25
_SLOW_TICK_NS = 80_000_000


class Release(StrEnum):
    """Cause that makes a hop release held events."""

    SIZE = "size"
    TIMER = "timer"
    NEXT = "next"
    END = "end"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Shape:
    """Verdict on one stream, with its evidence.

    Args:
        release: cause that releases held events; ``None`` if the stream is not held.
        release_bytes: block size, for ``Release.SIZE``.
        period_ms: period of the timer, for ``Release.TIMER``.
        evidence: measurements for the report.
        reason: why the verdict is ``unknown``, and what to run next.
    """

    verdict: Verdict
    release: Release | None = None
    release_bytes: int | None = None
    period_ms: float | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""

    @property
    def held(self) -> bool:
        """Return whether the stream was held back in any way."""
        return self.verdict in {Verdict.BATCHED, Verdict.LATE, Verdict.HELD_TO_END}


def unknown(reason: str, **evidence: object) -> Shape:
    """Return the shape of a stream with inconclusive evidence."""
    return Shape(Verdict.UNKNOWN, evidence=evidence, reason=reason)


def classify_pattern(reading: Reading) -> Shape:
    """Classify a stream from its arrivals alone."""
    if reading.is_document:
        return unknown("the body is one document, not a stream of events", events=0)
    contents = reading.contents
    if len(contents) < MIN_EVENTS * reading.choices:
        return unknown(
            f"only {len(contents)} content events arrived; ask for a longer answer "
            f"(--prompt, or max_tokens in --data)",
            events=len(contents),
        )
    bursts = find_bursts(reading)
    if len(bursts) == 1:
        return _classify_single(reading, bursts[0])
    if _client_was_late(bursts):
        return unknown("this machine was too busy to measure: run it again, or from an idle host")
    return _classify_bursts(reading, bursts)


def _classify_single(reading: Reading, burst: Burst) -> Shape:
    """Classify a stream of one burst: held to the end, or generated too fast for a verdict."""
    # One round trip passes before the first byte, and nothing is generated in that time.
    wait = burst.start_ns - reading.sent_ns - round_trip_ns(reading.exchange)
    span = burst.end_ns - burst.start_ns
    evidence = {
        "events": burst.events,
        "within_ms": round(span / 1e6, 3),
        "after_ms": round(wait / 1e6, 1),
    }
    if wait < max(_SHORTEST_WAIT_NS, burst.events * _FASTEST_TOKEN_NS):
        return unknown(
            f"the whole answer arrived {max(0, wait) / 1e6:.0f} ms after the request, too fast to "
            f"analyze; ask for a longer one, or use --beacon",
            **evidence,
        )
    if span > max(_together(reading) * 10, wait // 20):
        return Shape(Verdict.STREAMING, evidence=evidence)
    after = reading.exchange.ended_ns - burst.end_ns
    if after > max(100_000_000, wait // 5):
        return unknown(
            f"one burst of {burst.events} events, then {after / 1e9:.1f} s of silence before the "
            f"end; ask for a longer answer, or use --beacon",
            **evidence,
        )
    return Shape(Verdict.HELD_TO_END, Release.END, evidence=evidence)


def _together(reading: Reading) -> int:
    return together_ns([item.at_ns for item in reading.contents])


def _client_was_late(bursts: Sequence[Burst]) -> bool:
    """Return whether late reads by this program may have caused most of the bursts."""
    many = [burst for burst in bursts if burst.events > 1]
    if not many:
        return False
    return median([burst.late_ns for burst in many]) > typical_pause_ns(bursts) / 4


def _classify_bursts(reading: Reading, bursts: Sequence[Burst]) -> Shape:
    """Classify bursts, unless the network or chance explains the pattern."""
    shape = _match_pattern(reading, bursts)
    if not shape.held:
        return shape
    exchange, few = reading.exchange, len(bursts) - 1 < FEW_BURSTS
    reason = why_windows(exchange, bursts) or why_flow(bursts)
    if not reason and shape.release_bytes is not None:
        reason = why_segments(exchange, shape.release_bytes)
    if not reason and few and (shape.release is Release.UNCLEAR or is_far(exchange)):
        reason = (
            f"only {len(bursts)} bursts arrived, and one pause proves nothing; ask for a longer "
            f"answer (--prompt, or max_tokens in --data)"
        )
    if not reason and shape.release is Release.UNCLEAR:
        reason = why_jitter(exchange, bursts)
    return unknown(reason, **shape.evidence) if reason else shape


def _match_pattern(reading: Reading, bursts: Sequence[Burst]) -> Shape:
    # The end of the response releases the last burst, so it shows no rule of the hop.
    held = bursts[:-1]
    counts = [burst.events for burst in held]
    together = sum(n for n in counts if n > 1)
    typical = median(counts)
    evidence: dict[str, object] = {
        "bursts": len(bursts),
        "events_per_burst": {"p50": typical, "max": max(counts)},
    }
    if are_cut(bursts, round_trip_ns(reading.exchange), compressed=_is_coded(reading)):
        block = block_of(held, compressed=_is_coded(reading))
        if block is None:
            return Shape(Verdict.BATCHED, Release.UNCLEAR, None, None, evidence)
        return Shape(Verdict.BATCHED, Release.SIZE, block, None, evidence | {"block_bytes": block})
    # Parallel answers (the API's n) produce one event each at every step.
    if together < 0.5 * sum(counts) or typical < 2 * reading.choices:
        return Shape(Verdict.STREAMING, evidence=evidence)
    period_ns, even = _period(held)
    evidence["every_ms"] = round(period_ns / 1e6, 1)
    if typical <= SPECULATIVE * reading.choices:
        return _classify_small_bursts(period_ns, even, evidence)
    if even and len(held) >= 4:
        return Shape(Verdict.BATCHED, Release.TIMER, None, period_ns / 1e6, evidence)
    threshold = threshold_of(held)
    if threshold is not None:
        evidence["block_bytes"] = threshold
        return Shape(Verdict.BATCHED, Release.SIZE, threshold, None, evidence)
    return Shape(Verdict.BATCHED, Release.UNCLEAR, None, None, evidence)


def _classify_small_bursts(period_ns: float, even: bool, evidence: dict[str, object]) -> Shape:
    """Classify bursts of a few whole events each, which a speculative decoder produces as well."""
    evidence["few_at_a_time"] = True
    if even and period_ns >= _SLOW_TICK_NS:
        return unknown(
            f"a few events at a time, every {period_ns / 1e6:.0f} ms: a timer and a speculative "
            f"decoder look alike from here; use --beacon, or --hop with the model server's URL",
            **evidence,
        )
    return Shape(Verdict.STREAMING, evidence=evidence)


def _is_coded(reading: Reading) -> bool:
    head = reading.exchange.head
    coding = head.get("content-encoding") if head else None
    return coding is not None and coding.strip().lower() not in {"", "identity"}


def _period(held: Sequence[Burst]) -> tuple[float, bool]:
    """Return the median time between bursts in ns, and whether the times are even."""
    steps = sorted(b.start_ns - a.start_ns for a, b in pairwise(held))
    if not steps:
        return 0.0, False
    middle = quantile(steps, 0.5)
    spread = quantile(steps, 0.9) - quantile(steps, 0.1)
    return middle, spread <= _EVEN_SPREAD * middle
