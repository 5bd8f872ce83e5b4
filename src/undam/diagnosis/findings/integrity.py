"""Findings about the content of a stream: events and characters that did not arrive as sent."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.hop import Hop
from undam.diagnosis.numbering import AnswerIntegrity
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
    "both-sides": "a comparison of both sides of the proxy",
}

# Numbers that the server assigns prove a fault. With other evidence, there may be another
# explanation.
_CERTAIN = {"numbered-text", "stamps", "sequence-numbers"}


def find_integrity(hops: Sequence[Hop]) -> list[Finding]:
    """Return the findings about altered content, each for the hop where the change begins.

    Args:
        hops: outermost first.
    """
    found: list[Finding] = []
    reported: set[str] = set()
    for hop in reversed(hops):
        for one in find_faults(hop.name, hop.integrity):
            if one.code not in reported:
                found.append(one)
                reported.add(one.code)
    return found


def find_faults(name: str, integrity: AnswerIntegrity) -> list[Finding]:
    """Return one finding per kind of fault, at the hop with this name."""
    return [
        _name_fault(name, integrity, kind, code, getattr(integrity, kind))
        for kind, code in _CODES
        if getattr(integrity, kind)
    ]


def _name_fault(name: str, integrity: AnswerIntegrity, kind: str, code: str, count: int) -> Finding:
    events = integrity.sent or integrity.received
    evidence: dict[str, object] = {
        "count": count,
        "events": events,
        "first": integrity.first_of(kind),
        "source": _SOURCES[integrity.evidence],
    }
    return finding(code, name, evidence, severity=_severity(integrity, kind, count))


def _severity(integrity: AnswerIntegrity, kind: str, count: int) -> Severity | None:
    """Return "warning" for weak evidence, or ``None`` to keep the severity of the rule."""
    if integrity.evidence == "both-sides":
        # A fault in captured packets is certain, but filters alter text on purpose.
        return Severity.WARNING if kind == "altered" else None
    if integrity.evidence in _CERTAIN and not (kind == "torn" and count == 1):
        return None
    return None if kind == "torn" and count > 1 else Severity.WARNING
