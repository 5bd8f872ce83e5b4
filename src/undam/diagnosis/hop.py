"""Analysis of one hop: verdict, holds and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undam.diagnosis.bursts import find_bursts
from undam.diagnosis.findings.network import why_jitter
from undam.diagnosis.holds import (
    NOISE_NS,
    ClockOffset,
    EventHold,
    classify_holds,
    holds_by_beacon,
    holds_by_inner,
    is_one_late_by_inner,
)
from undam.diagnosis.integrity import UNKNOWN, analyze_integrity, compare_answers
from undam.diagnosis.numbering import AnswerIntegrity
from undam.diagnosis.reading import Reading
from undam.diagnosis.reported import reported_ms
from undam.diagnosis.rhythm import Cause
from undam.diagnosis.shape import (
    MIN_EVENTS,
    Release,
    Shape,
    by_cause,
    classify_pattern,
    median_events,
)
from undam.record import Ending, Exchange
from undam.rules import Verdict
from undam.timing import quantile

# A speculative decoder emits at least half of its tokens together with another token.
_SINGLY = 0.9
# Tolerance for burst sizes and times, because two answers to the same prompt differ.
_SAME = 0.3


@dataclass(frozen=True, slots=True)
class Hop:
    """Result for one hop, from one or more streams for the same prompt.

    Args:
        readings: one per stream; the first one represents the hop, and its verdict is the hop's.
        holds: one per event of every stream, if known.
        exact: whether the holds come from a beacon, not from a comparison with an inner hop.
        intermediaries: names of the intermediaries that signed the response.
        integrity: that of the stream with the most faults.
    """

    name: str
    url: str
    readings: tuple[Reading, ...]
    shape: Shape
    holds: tuple[EventHold, ...] = ()
    exact: bool = False
    intermediaries: tuple[str, ...] = ()
    integrity: AnswerIntegrity = UNKNOWN

    @property
    def reading(self) -> Reading:
        """Return the first reading, which has the same verdict as the hop."""
        return self.readings[0]

    @property
    def exchange(self) -> Exchange:
        """Return the exchange of the first reading, which has the same verdict as the hop."""
        return self.readings[0].exchange


def analyze_hop(
    readings: Sequence[Reading],
    *,
    inner: Hop | None = None,
    offset: ClockOffset | None = None,
    intermediaries: tuple[str, ...] = (),
) -> Hop:
    """Analyze one hop.

    Args:
        readings: at least one.
        inner: the next hop towards the model, with the same prompt.
        offset: clock offset and path delay of the beacon at the far end; ``None`` without one.
    """
    judged = [(reading, *_analyze_stream(reading, inner, offset)) for reading in readings]
    counts = Counter(shape.verdict for _, shape, _ in judged)
    free = {shape.verdict for _, shape, _ in judged if not shape.held}
    # A buffering hop holds every stream. In a tie, a verdict without a hold therefore wins.
    verdict = max(counts, key=lambda one: (counts[one], one in free))
    judged.sort(key=lambda item: item[1].verdict is not verdict)
    first = readings[0].exchange
    return Hop(
        first.hop,
        first.url,
        tuple(reading for reading, _, _ in judged),
        judged[0][1],
        tuple(held for _, _, holds in judged for held in holds),
        exact=offset is not None,
        intermediaries=intermediaries,
        integrity=max(
            (_integrity(reading, inner) for reading in readings), key=lambda one: one.faults
        ),
    )


def _integrity(reading: Reading, inner: Hop | None) -> AnswerIntegrity:
    found = analyze_integrity(reading)
    if inner is None or found.evidence != "events" or not found.is_intact:
        return found
    return compare_answers(inner.reading, reading) or found


def _analyze_stream(
    reading: Reading, inner: Hop | None, offset: ClockOffset | None
) -> tuple[Shape, list[EventHold]]:
    if offset is not None:
        holds = holds_by_beacon(reading, offset)
        return classify_holds(reading, holds, offset.noise_ns), holds
    pattern = classify_pattern(reading)
    if inner is None:
        return pattern, []
    holds = holds_by_inner(inner.reading, reading)
    if pattern.verdict in {Verdict.STREAMING, Verdict.UNKNOWN}:
        return _against_inner(reading, pattern, holds, inner), holds
    return pattern, holds


def _against_inner(outer: Reading, pattern: Shape, holds: Sequence[EventHold], inner: Hop) -> Shape:
    """Resolve an inconclusive pattern by a comparison with a streaming inner hop."""
    if inner.shape.held or not holds:
        return pattern
    if is_one_late_by_inner(holds):
        evidence = {"events": len(holds), "held_events": sum(h.hold_ns > NOISE_NS for h in holds)}
        return Shape(Verdict.LATE, Release.NEXT, evidence=evidence)
    if pattern.hold is not None and _is_same_rhythm(pattern, inner.shape):
        return by_cause(pattern.hold, Cause.ENGINE)
    steps = pattern.evidence.get("few_at_a_time") or pattern.evidence.get("whole_steps")
    if not steps or not comes_singly(inner.reading):
        return pattern
    if why_jitter(outer.exchange, find_bursts(outer)):
        return pattern
    return pattern.hold or Shape(Verdict.BATCHED, Release.UNCLEAR, evidence=pattern.evidence)


def _is_same_rhythm(outer: Shape, inner: Shape) -> bool:
    """Return whether a streaming inner hop emits the same number of events at the same pace."""
    if inner.verdict is not Verdict.STREAMING or not inner.evidence.get("whole_steps"):
        return False
    pairs = [
        (median_events(outer), median_events(inner)),
        (outer.evidence.get("every_ms"), inner.evidence.get("every_ms")),
    ]
    return all(
        isinstance(here, int | float)
        and isinstance(there, int | float)
        and abs(here - there) <= _SAME * max(here, there)
        for here, there in pairs
    )


def comes_singly(reading: Reading) -> bool:
    """Return whether events arrive one by one at this hop, unlike with a speculative decoder."""
    if len(reading.contents) < MIN_EVENTS:
        return False
    bursts = find_bursts(reading)
    alone = sum(burst.events for burst in bursts if burst.events <= reading.choices)
    return alone > _SINGLY * len(reading.contents)


def hop_metrics(hop: Hop) -> dict[str, object]:
    """Return the hop's entry for the report (`hops` in `undam check --json`), in ms and bytes."""
    exchange, reading = hop.exchange, hop.reading
    stamps, contents = exchange.stamps, reading.contents
    return {
        "name": hop.name,
        "url": exchange.url,
        "verdict": hop.shape.verdict.value,
        "framing": reading.framing.value if reading.pending else None,
        "api": reading.api.name,
        "http_version": exchange.head.http_version if exchange.head else None,
        "status": exchange.head.status if exchange.head else None,
        "dns_ms": _step_ms(stamps.start_ns, stamps.dns_ns),
        "connect_ms": _step_ms(stamps.dns_ns or stamps.start_ns, stamps.connect_ns),
        "tls_ms": _step_ms(stamps.proxy_ns or stamps.connect_ns, stamps.tls_ns),
        "headers_ms": _step_ms(reading.sent_ns, stamps.head_ns),
        "ttft_ms": _step_ms(reading.sent_ns, contents[0].at_ns) if contents else None,
        "e2e_ms": _step_ms(reading.sent_ns, exchange.ended_ns),
        "hold_ms": _hold_ms(hop.holds),
        "hold_is_exact": hop.exact,
        "events": len(contents),
        "reads": len({item.read for item in contents}),
        "events_per_read": events_per_read(reading),
        "release": hop.shape.release.value if hop.shape.release else None,
        "release_bytes": hop.shape.release_bytes,
        "release_every_ms": _rounded(hop.shape.period_ms),
        "intermediaries": list(hop.intermediaries),
        "proxy": exchange.proxy,
        "tls_issuer": exchange.tls_issuer,
        "tls_days_left": _days_left(exchange),
        "complete": is_complete(reading),
        "cut_after_s": cut_after_s(reading),
        "ending": exchange.ending.value,
        "streams": len(hop.readings),
        "integrity": _integrity_json(hop.integrity),
        "reported_ms": reported_ms(exchange.head),
    }


def _days_left(exchange: Exchange) -> float | None:
    """Return the days from the request until the certificate expires; ``None`` without TLS."""
    if exchange.tls_expires_s is None:
        return None
    return round((exchange.tls_expires_s - exchange.stamps.start_ns / 1e9) / 86_400, 2)


def _integrity_json(integrity: AnswerIntegrity) -> dict[str, object]:
    return {
        "evidence": integrity.evidence,
        "exact": integrity.is_exact,
        "sent": integrity.sent,
        "received": integrity.received,
        "lost": integrity.lost,
        "duplicated": integrity.duplicated,
        "reordered": integrity.reordered,
        "altered": integrity.altered,
        "torn": integrity.torn,
        "mixed": integrity.mixed,
    }


def events_per_read(reading: Reading) -> Mapping[str, int]:
    """Return the number of content events per read, for reads that contain any."""
    counts = sorted(Counter(item.read for item in reading.contents).values())
    if not counts:
        return {"p50": 0, "max": 0}
    return {"p50": int(quantile(counts, 0.5)), "max": counts[-1]}


def is_complete(reading: Reading) -> bool | None:
    """Return whether the whole answer arrived; ``None`` if that cannot be determined."""
    ending = reading.exchange.ending
    if reading.announced_end:
        return True
    if ending in {Ending.TRUNCATED, Ending.RESET, Ending.BROKEN} or reading.leftover_bytes:
        return False
    if ending in {Ending.TIMEOUT, Ending.LIMIT}:
        return None
    if reading.api.announces_end or reading.has_closing_framing:
        return False
    return True if ending is Ending.COMPLETE else None


def cut_after_s(reading: Reading) -> float | None:
    """Return the seconds from the request to the end of a stream that was cut, else ``None``."""
    if is_complete(reading) is not False:
        return None
    return round((reading.exchange.ended_ns - reading.sent_ns) / 1e9, 3)


def _hold_ms(holds: Sequence[EventHold]) -> dict[str, float] | None:
    if not holds:
        return None
    ordered = sorted(held.hold_ns for held in holds)
    return {
        "first": round(holds[0].hold_ns / 1e6, 3),
        "p50": round(quantile(ordered, 0.5) / 1e6, 3),
        "p99": round(quantile(ordered, 0.99) / 1e6, 3),
        "max": round(ordered[-1] / 1e6, 3),
    }


def _step_ms(from_ns: int | None, to_ns: int | None) -> float | None:
    if from_ns is None or to_ns is None:
        return None
    return round((to_ns - from_ns) / 1e6, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
