"""Findings about the content of a stream: events and characters that did not arrive as sent."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.hop import Hop
from undam.diagnosis.integrity import AnswerIntegrity
from undam.rules import Finding, Severity, finding

_CODES = (
    ("lost", "UD611"),
    ("duplicated", "UD612"),
    ("reordered", "UD613"),
    ("altered", "UD614"),
    ("torn", "UD615"),
    ("mixed", "UD616"),
)

_SOURCES = {
    "numbered-text": "the numbers and checksums of the beacon",
    "stamps": "the numbers of the beacon",
    "sequence-numbers": "the sequence numbers of the API",
    "event-ids": "the event IDs",
    "events": "the events themselves",
    "inner-hop": "a comparison with the next hop, an estimate",
}

# A number that the server assigns proves a fault. Everything else may have another explanation.
_CERTAIN = {"numbered-text", "stamps", "sequence-numbers"}


def find_integrity(hops: Sequence[Hop]) -> list[Finding]:
    """Return the findings about altered content, each at the hop where it begins.

    Args:
        hops: outermost first.
    """
    found: list[Finding] = []
    reported: set[str] = set()
    for hop in reversed(hops):
        for kind, code in _CODES:
            count = getattr(hop.integrity, kind)
            if count and code not in reported:
                found.append(_name_fault(hop, kind, code, count))
                reported.add(code)
    return found


def _name_fault(hop: Hop, kind: str, code: str, count: int) -> Finding:
    integrity = hop.integrity
    events = integrity.sent or integrity.received
    evidence: dict[str, object] = {
        "count": count,
        "events": events,
        "first": integrity.first_of(kind),
        "source": _SOURCES[integrity.evidence],
    }
    return finding(code, hop.name, evidence, severity=_severity(integrity, kind, count))


def _severity(integrity: AnswerIntegrity, kind: str, count: int) -> Severity | None:
    """Return ``None`` for the severity of the rule, or a warning for weak evidence."""
    if integrity.evidence in _CERTAIN and not (kind == "torn" and count == 1):
        return None
    return None if kind == "torn" and count > 1 else Severity.WARNING
