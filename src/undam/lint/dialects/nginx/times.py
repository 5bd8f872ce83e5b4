"""Parser for time values in nginx.conf."""

from __future__ import annotations

import re

_TIME = re.compile(r"(\d{1,12})(ms|[yMwdhms])?\s*")
_UNIT_S = {
    "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400,
    "w": 604800, "M": 2592000, "y": 31536000,
}  # fmt: skip


def seconds_of(value: str) -> float | None:
    """Parse an nginx time value (`60`, `1m30s`, `1h 30m`); ``None`` if it is invalid."""
    at, total = 0, 0.0
    while at < len(value):
        part = _TIME.match(value, at)
        if part is None:
            return None
        total += int(part[1]) * _UNIT_S[part[2] or "s"]
        at = part.end()
    return total if value else None
