"""Classification of a stream from its arrivals alone: whether it is held, and in what pattern.

The bounds are chosen so that a healthy stream is never reported as held: an engine emits several
tokens per step, a model pauses, a network jitters. If the evidence proves neither, the verdict is
`unknown`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from undam.diagnosis.blocks import (
    FEW_BURSTS,
    FEW_EVENTS,
    are_blocks_of_text,
    are_cut,
    are_equal_blocks,
    block_of,
    fills_by_bytes,
    is_buffer_size,
    threshold_of,
)
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
from undam.diagnosis.rhythm import Cause, Rhythm, cause_of, rhythm_of
from undam.framing import Framing
from undam.rules import Verdict
from undam.timing import median

MIN_EVENTS = 8
"""Minimum number of content events for a verdict without a beacon's due times."""

# The fastest engines take about 0.5 ms per token. If an answer arrives sooner, it was not generated
# during the request, so its timing proves nothing.
_FASTEST_TOKEN_NS = 500_000
_SHORTEST_WAIT_NS = 50_000_000

# Events arrive one by one if less than this part of them shares a burst with others.
_SINGLY = 0.5
# Minimum number of bursts for a rhythm, not counting the burst that the end of the response
# releases.
_FEW_HELD = 4
# Steps and timers of a few events count as streaming if their period is shorter than this.
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
        hold: the shape of a hop that could cause these bursts, if the verdict is ``unknown``
            because the steps of an engine look the same. An experiment decides.
        is_short: whether a longer answer may give a verdict.
    """

    verdict: Verdict
    release: Release | None = None
    release_bytes: int | None = None
    period_ms: float | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    hold: Shape | None = None
    is_short: bool = False

    @property
    def held(self) -> bool:
        """Return whether the stream was held back in any way."""
        return self.verdict in {Verdict.BATCHED, Verdict.LATE, Verdict.HELD_TO_END}


def unknown(reason: str, **evidence: object) -> Shape:
    """Return the shape of a stream with inconclusive evidence."""
    return Shape(Verdict.UNKNOWN, evidence=evidence, reason=reason)


def _too_short(reason: str, **evidence: object) -> Shape:
    return replace(unknown(reason, **evidence), is_short=True)


def classify_pattern(reading: Reading) -> Shape:
    """Classify a stream from its arrivals alone."""
    if reading.is_document:
        return unknown("the body is one document, not a stream of events", events=0)
    contents = reading.contents
    if reading.is_collected:
        return unknown("one event carries the whole answer", events=len(contents))
    if not contents:
        return unknown(
            "no event with content arrived: the answer is empty, or its format is unknown", events=0
        )
    if len(contents) < MIN_EVENTS * reading.choices:
        return _too_short(
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
    """Classify a stream of one burst: held to the end, or too fast for a verdict."""
    # The first byte takes at least one round trip, in which nothing is generated.
    wait = burst.start_ns - reading.sent_ns - round_trip_ns(reading.exchange)
    span = burst.end_ns - burst.start_ns
    evidence = {
        "events": burst.events,
        "within_ms": round(span / 1e6, 3),
        "after_ms": round(wait / 1e6, 1),
    }
    if wait < max(_SHORTEST_WAIT_NS, burst.events * _FASTEST_TOKEN_NS):
        return _too_short(
            f"the whole answer arrived {max(0, wait) / 1e6:.0f} ms after the request, too fast to "
            f"analyze; ask for a longer one, or use --beacon",
            **evidence,
        )
    if span > max(_together(reading) * 10, wait // 20):
        return Shape(Verdict.STREAMING, evidence=evidence)
    after = reading.exchange.ended_ns - burst.end_ns
    if after > max(100_000_000, wait // 5):
        return _too_short(
            f"one burst of {burst.events} events, then {after / 1e9:.1f} s of silence before the "
            f"end; ask for a longer answer, or use --beacon",
            **evidence,
        )
    return Shape(Verdict.HELD_TO_END, Release.END, evidence=evidence)


def _together(reading: Reading) -> int:
    return together_ns([item.at_ns for item in reading.contents])


def _client_was_late(bursts: Sequence[Burst]) -> bool:
    """Return whether most bursts may be due to late reads by undam.

    A few late reads do not matter: if most events arrived one by one, nothing holds them.
    """
    many = [burst for burst in bursts if burst.events > 1]
    together = sum(burst.events for burst in many)
    if not together or together < _SINGLY * sum(burst.events for burst in bursts):
        return False
    return median([burst.late_ns for burst in many]) > typical_pause_ns(bursts) / 4


def _classify_bursts(reading: Reading, bursts: Sequence[Burst]) -> Shape:
    """Classify bursts, unless the network or chance can explain the pattern."""
    shape = _match_pattern(reading, bursts)
    hold = shape if shape.held else shape.hold
    if hold is None:
        return shape
    exchange, few = reading.exchange, len(bursts) - 1 < FEW_BURSTS
    reason = why_windows(exchange, bursts) or why_flow(bursts)
    if not reason and hold.release_bytes is not None:
        reason = why_segments(exchange, hold.release_bytes)
    unsure = hold.release is Release.UNCLEAR or is_far(exchange)
    if not reason and few and unsure and not is_buffer_size(hold.release_bytes):
        return _too_short(
            f"only {len(bursts)} bursts arrived, and one pause proves nothing; ask for a longer "
            f"answer (--prompt, or max_tokens in --data)",
            **hold.evidence,
        )
    if not reason and hold.release is Release.UNCLEAR:
        reason = why_jitter(exchange, bursts)
    return unknown(reason, **hold.evidence) if reason else shape


def _match_pattern(reading: Reading, bursts: Sequence[Burst]) -> Shape:
    # The last burst is left out, because the end of the response releases it.
    held = bursts[:-1]
    counts = [burst.events for burst in held]
    together = sum(n for n in counts if n > 1)
    typical = median(counts)
    evidence: dict[str, object] = {
        "bursts": len(bursts),
        "events_per_burst": {"p50": typical, "max": max(counts)},
    }
    if reading.framing is Framing.BYTES and are_equal_blocks(held):
        return unknown(
            f"the body has no known framing and arrives in blocks of {held[-1].size_bytes} bytes, "
            f"which a server or a buffer may write; use --hop with the server's URL, or --beacon",
            **evidence,
        )
    by_size = reading.framing is Framing.TEXT and are_blocks_of_text(held)
    trip_ns, coded = round_trip_ns(reading.exchange), _is_coded(reading)
    if by_size or are_cut(bursts, trip_ns, compressed=coded):
        block = block_of(held, compressed=_is_coded(reading))
        if block is None:
            return Shape(Verdict.BATCHED, Release.UNCLEAR, None, None, evidence)
        return Shape(Verdict.BATCHED, Release.SIZE, block, None, evidence | {"block_bytes": block})
    # Parallel answers (parameter `n` of the API) produce one event each at every step.
    rhythm = rhythm_of(reading, bursts)
    singly = together < _SINGLY * sum(counts) or typical < 2 * reading.choices
    if singly and not (rhythm.is_reported and together):
        return Shape(Verdict.STREAMING, evidence=evidence)
    evidence["every_ms"] = round(rhythm.period_ns / 1e6, 1)
    if rhythm.is_reported:
        return Shape(Verdict.STREAMING, evidence={**evidence, "whole_steps": True})
    if typical <= FEW_EVENTS * reading.choices:
        return _classify_small_bursts(rhythm, evidence)
    hold = _hold(rhythm, held, evidence)
    if hold.release is Release.SIZE and fills_by_bytes(held):
        return hold
    return by_cause(hold, cause_of(rhythm, far=is_far(reading.exchange)))


def by_cause(hold: Shape, cause: Cause) -> Shape:
    """Return the shape of a stream with bursts of whole events that have a known cause.

    Args:
        hold: the shape if a hop causes them.
    """
    if cause is Cause.HOP:
        return hold
    evidence = {**hold.evidence, "whole_steps": True}
    if cause is Cause.ENGINE:
        return Shape(Verdict.STREAMING, evidence=evidence)
    return replace(unknown(_why_open(hold), **evidence), hold=hold)


def _hold(rhythm: Rhythm, held: Sequence[Burst], evidence: Mapping[str, object]) -> Shape:
    """Return the shape of a stream with bursts of whole events that are caused by a hop."""
    if rhythm.is_even and len(held) >= _FEW_HELD:
        return Shape(Verdict.BATCHED, Release.TIMER, None, rhythm.period_ns / 1e6, evidence)
    threshold = threshold_of(held)
    if threshold is None:
        return Shape(Verdict.BATCHED, Release.UNCLEAR, None, None, evidence)
    known = {**evidence, "block_bytes": threshold}
    return Shape(Verdict.BATCHED, Release.SIZE, threshold, None, known)


def median_events(shape: Shape) -> object:
    """Return the typical number of events per burst, or ``None`` if the stream has no bursts."""
    counts = shape.evidence.get("events_per_burst")
    return counts.get("p50") if isinstance(counts, dict) else None


def _why_open(hold: Shape) -> str:
    """Return why the bursts may come either from an engine or from a hop."""
    rhythm = f"every {hold.period_ms:.0f} ms" if hold.release is Release.TIMER else "at a time"
    other = {
        Release.TIMER: "a hop's timer",
        Release.SIZE: f"a buffer of {hold.release_bytes} bytes",
    }.get(hold.release or Release.UNCLEAR, "a hop that holds")
    return (
        f"about {median_events(hold)} whole events {rhythm}: the steps of an engine and {other} "
        f"look alike from here; use --hop with the model server's URL, or --beacon"
    )


def _classify_small_bursts(rhythm: Rhythm, evidence: dict[str, object]) -> Shape:
    """Classify bursts of a few whole events each, as a speculative decoder also sends them.

    A hop is never reported here, because a few gaps of a model vary too much.
    """
    evidence["few_at_a_time"] = True
    if not rhythm.is_even or rhythm.period_ns < _SLOW_TICK_NS:
        return Shape(Verdict.STREAMING, evidence=evidence)
    if cause_of(rhythm) is Cause.ENGINE:
        return Shape(Verdict.STREAMING, evidence={**evidence, "whole_steps": True})
    period_ms = rhythm.period_ns / 1e6
    hold = Shape(Verdict.BATCHED, Release.TIMER, None, period_ms, evidence)
    return replace(
        unknown(
            f"a few events at a time, every {period_ms:.0f} ms: a timer and a speculative "
            f"decoder look alike from here; use --beacon, or --hop with the model server's URL",
            **evidence,
        ),
        hold=hold,
    )


def _is_coded(reading: Reading) -> bool:
    head = reading.exchange.head
    coding = head.get("content-encoding") if head else None
    return coding is not None and coding.strip().lower() not in {"", "identity"}
