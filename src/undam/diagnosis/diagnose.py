"""Everything there is to say about a path, in one call."""

from __future__ import annotations

from collections.abc import Sequence

from undam.diagnosis.findings.buffering import find_dams
from undam.diagnosis.findings.caveats import find_doubts
from undam.diagnosis.findings.endings import find_endings
from undam.diagnosis.findings.heads import find_heads
from undam.diagnosis.findings.silences import find_silences
from undam.diagnosis.findings.tokens import find_packed_tokens
from undam.diagnosis.holds import Offset
from undam.diagnosis.hop import Hop
from undam.rules import Finding, Severity

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def find_all(hops: Sequence[Hop], offset: Offset | None = None) -> list[Finding]:
    """All findings about these hops, the worst first; the same thing is told once, where it
    begins.

    Args:
        hops: outermost first.
        offset: the beacon's clock, where there is a beacon.
    """
    found = [*find_dams(hops), *find_heads(hops)]
    told: set[str] = set()
    for hop in reversed(hops):
        here = [*find_endings(hop), *find_silences(hop)]
        found += [one for one in here if one.code not in told]
        told |= {one.code for one in here}
    found += find_packed_tokens(hops[-1])
    found += find_doubts(hops, offset)
    return sorted(found, key=lambda one: _ORDER[one.severity])
