"""Parser for durations in Kubernetes resources: Go durations, proxy durations, bare numbers."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})?(?:ms|us|µs|ns|[dhms]))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|[dhms])")
_UNITS_S = {
    "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6,
    "ns": 1e-9,
}  # fmt: skip
_INFINITE = frozenset({"infinity", "infinite"})


def seconds_in(text: str, *, bare_unit_s: float = 1.0) -> float | None:
    """Parse a duration; ``None`` if it is invalid, and ``inf`` for ``infinity``.

    Args:
        bare_unit_s: unit of a number without a unit, in seconds.
    """
    text = text.strip()
    if text in _INFINITE:
        return math.inf
    if _NUMBER.fullmatch(text):
        return float(text) * bare_unit_s
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
