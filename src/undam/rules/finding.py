"""The words of a verdict: what was found, where, how bad, on what evidence, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is. Only ``error`` and ``warning`` make a command exit with 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    """What became of a stream on its way."""

    STREAMING = "streaming"
    BATCHED = "batched"
    LATE = "late"
    HELD_TO_END = "held-to-end"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that mends a finding: the program it belongs to, and the text to put there."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding.

    Args:
        code: never reused; the hundreds digit is the knob.
        slug: reads well after "allow".
        message: one line; ``{name}`` is filled from the evidence.
        explain: the long text: what it is, why it hurts, how it was measured, the fix, the source.
    """

    code: str
    slug: str
    severity: Severity
    message: str
    explain: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found at one hop."""

    code: str
    slug: str
    severity: Severity
    hop: str
    message: str
    evidence: Mapping[str, object]
    fix: Fix | None = None


def finding_json(found: Finding) -> dict[str, object]:
    """A finding in the form of every command's JSON."""
    fix = found.fix
    return {
        "code": found.code,
        "slug": found.slug,
        "severity": found.severity.value,
        "hop": found.hop,
        "message": found.message,
        "evidence": dict(found.evidence),
        "fix": None if fix is None else {"where": fix.where, "text": fix.text},
    }
