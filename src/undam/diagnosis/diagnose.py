"""Single entry point that returns all findings about a path."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.findings.buffering import find_buffering
from undam.diagnosis.findings.caveats import find_caveats
from undam.diagnosis.findings.endings import find_endings, find_stalls
from undam.diagnosis.findings.heads import find_heads
from undam.diagnosis.findings.integrity import find_integrity
from undam.diagnosis.findings.silences import find_silences
from undam.diagnosis.findings.tokens import find_packed_tokens
from undam.diagnosis.findings.tool_calls import find_whole_arguments
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop
from undam.rules import Finding, Severity

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def find_findings(hops: Sequence[Hop], offset: ClockOffset | None = None) -> list[Finding]:
    """Return all findings about these hops, the most severe first.

    Each finding is reported for the hop where the fault begins.

    Args:
        hops: outermost first.
        offset: clock offset of the beacon; ``None`` without one.
    """
    found = [*find_buffering(hops), *find_heads(hops)]
    reported: set[str] = set()
    for hop in reversed(hops):
        here = [
            *find_endings(hop),
            *find_silences(hop),
            *find_whole_arguments(hop),
            *find_stalls(hop),
        ]
        found += [one for one in here if one.code not in reported]
        reported |= {one.code for one in here}
    found += find_integrity(hops)
    found += find_packed_tokens(hops[-1])
    found += find_caveats(hops, offset)
    return by_severity(found)


def by_severity(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings by severity, the most severe first; equal ones keep their order."""
    return sorted(found, key=lambda one: _ORDER[one.severity])
