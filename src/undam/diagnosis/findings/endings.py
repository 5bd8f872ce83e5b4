"""Findings about the integrity of a stream: how it ended, and errors inside it."""

from __future__ import annotations

from undam.apis import Kind
from undam.diagnosis.hop import Hop, is_complete
from undam.diagnosis.reading import Reading, TimedEvent
from undam.record import Ending
from undam.rules import Finding, finding

# Common total limits in seconds, such as those of Envoy's route timeout (15), gunicorn's sync
# worker (30), Tyk (120) and cloud services. Shorter limits would match by chance.
_KNOWN_TOTALS_S = (5, 10, 15, 20, 30, 60, 90, 100, 120, 180, 240, 300, 600, 900, 3600)
# Tolerance for clocks and network delay; a larger one would match by chance. Only Envoy cuts up to
# a second late (measured), and Envoy is recognised by its fingerprint.
_TOTAL_EARLY_S, _TOTAL_LATE_S, _ENVOY_LATE_S = 0.1, 0.3, 1.2
# A stream that is cut after an idle period this long was probably cut by an idle timeout.
_SILENT_S = 2.0

# The window opens about one round trip after the request, so a shorter wait is normal.
_STALL_NS = 100_000_000

_HOW = {
    Ending.TRUNCATED: "the connection closed before the last chunk",
    Ending.RESET: "the connection was reset",
    Ending.BROKEN: "the bytes are malformed",
    Ending.COMPLETE: "the body ended cleanly in the middle of an event",
    Ending.CLOSED: "the connection closed in the middle of an event",
}


def find_endings(hop: Hop) -> list[Finding]:
    """Return the findings about how a hop's stream ended."""
    reading = hop.reading
    if not any(arrival.data for arrival in hop.exchange.arrivals):
        return _find_nothing(hop)
    if reading.is_document:
        return _find_errors(hop)
    found = [*_find_errors(hop), *_find_malformed(hop)]
    if not reading.items:
        return found or _find_nothing(hop)
    ending = reading.exchange.ending
    if ending is Ending.TIMEOUT:
        found.append(finding("UD606", hop.name, after_s=_elapsed_s(reading)))
    elif ending is Ending.LIMIT:
        size = sum(len(arrival.data) for arrival in hop.exchange.arrivals)
        limit = hop.exchange.error or f"the body is larger than {size} bytes"
        found.append(finding("UD607", hop.name, limit=limit, limit_bytes=size))
    elif is_complete(reading) is False and not reading.has_error:
        found.append(_name_cut(hop))
    return found


def silence_before_end_s(reading: Reading) -> float:
    """Return the seconds between the last byte and the end of the stream."""
    arrivals = reading.exchange.arrivals
    last = arrivals[-1].at_ns if arrivals else reading.sent_ns
    return max(0.0, (reading.exchange.ended_ns - last) / 1e9)


def _name_cut(hop: Hop) -> Finding:
    """Return the finding for a cut stream: at a total limit, after an idle period, or neither."""
    reading = hop.reading
    elapsed, silent = _elapsed_s(reading), silence_before_end_s(reading)
    late_s = _ENVOY_LATE_S if "envoy" in hop.intermediaries else _TOTAL_LATE_S
    total = next((t for t in _KNOWN_TOTALS_S if t - _TOTAL_EARLY_S <= elapsed <= t + late_s), None)
    contents = reading.contents
    if total is not None and silent < _SILENT_S and len(contents) > 1:
        how = "tokens were arriving until the end"
        return finding("UD404", hop.name, limit_s=total, after_s=elapsed, how=how)
    ending = reading.exchange.ending
    if ending in {Ending.COMPLETE, Ending.CLOSED} and not reading.leftover_bytes:
        return finding("UD601", hop.name, after_s=elapsed, silent_s=round(silent, 1))
    if found := _name_http2_end(hop, elapsed, silent):
        return found
    how = _HOW[ending]
    if silent >= _SILENT_S:
        how += f", after {silent:.1f} s of silence"
    if reading.exchange.error:
        how += f" ({reading.exchange.error})"
    return finding("UD602", hop.name, after_s=elapsed, how=how, silent_s=round(silent, 1))


def _name_http2_end(hop: Hop, elapsed: float, silent: float) -> Finding | None:
    """Return the finding for a stream that was ended by an HTTP/2 frame."""
    facts = hop.exchange.http2
    silence = f", after {silent:.1f} s of silence" if silent >= _SILENT_S else ""
    if facts is not None and facts.reset is not None:
        evidence = {"reset": facts.reset, "silent_s": round(silent, 1), "silence": silence}
        return finding("UD641", hop.name, evidence, after_s=elapsed)
    if facts is not None and facts.goaway is not None:
        return finding("UD642", hop.name, goaway=facts.goaway, after_s=elapsed)
    return None


def find_stalls(hop: Hop) -> list[Finding]:
    """Return the finding for a request that waited for a flow-control window of the server."""
    facts = hop.exchange.http2
    if facts is None or facts.send_stall_ns < _STALL_NS:
        return []
    return [finding("UD115", hop.name, stall_ms=round(facts.send_stall_ns / 1e6, 1))]


def _find_errors(hop: Hop) -> list[Finding]:
    """Return a finding about the first error event, if any."""
    status = hop.exchange.head.status if hop.exchange.head else 0
    for number, item in enumerate(_events(hop.reading), 1):
        if item.meaning is not None and item.meaning.kind is Kind.ERROR:
            error = item.text[:300]
            return [finding("UD603", hop.name, status=status, error=error, number=number)]
    return []


def _find_malformed(hop: Hop) -> list[Finding]:
    """Return findings about the first malformed event and about a body that cannot be parsed."""
    found: list[Finding] = []
    events = _events(hop.reading)
    for number, item in enumerate(events, 1):
        assert item.meaning is not None
        if item.meaning.kind is Kind.MALFORMED:
            problem = f"its data is not JSON: {item.text[:60]!r}"
            found.append(finding("UD605", hop.name, number=number, problem=problem))
            break
    if hop.reading.problem is not None:
        number = len(events) + 1
        found.append(finding("UD605", hop.name, number=number, problem=hop.reading.problem))
    return found


def _find_nothing(hop: Hop) -> list[Finding]:
    exchange = hop.exchange
    if exchange.ending is Ending.TIMEOUT:
        return [finding("UD608", hop.name, after_s=_elapsed_s(hop.reading))]
    status = exchange.head.status if exchange.head else 0
    return [finding("UD604", hop.name, status=status, ending=exchange.ending.value)]


def _events(reading: Reading) -> list[TimedEvent]:
    return [item for item in reading.items if item.meaning is not None]


def _elapsed_s(reading: Reading) -> float:
    return round((reading.exchange.ended_ns - reading.sent_ns) / 1e9, 2)
