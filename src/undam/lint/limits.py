"""Severity of timeouts, for every dialect that has separate total and idle timeouts."""

from __future__ import annotations

from undam.rules import Severity

# Long responses of reasoning models take minutes, but less than an hour.
_CERTAIN_CUT_S = 60.0
_HARMLESS_S = 3600.0


def total_limit_severity(limit_s: float) -> Severity | None:
    """Return the severity of a limit on the whole response, which heartbeats do not extend.

    A limit of 0 means no limit.
    """
    if limit_s <= 0 or limit_s >= _HARMLESS_S:
        return None
    return Severity.ERROR if limit_s <= _CERTAIN_CUT_S else Severity.WARNING


def idle_limit_severity(limit_s: float, heartbeat_s: float) -> Severity | None:
    """Return the severity of a limit on silence. A limit of 0 means no limit.

    A limit of at most one heartbeat interval cuts every silent stream. A limit below two intervals
    cuts a stream as soon as one heartbeat is late or lost.
    """
    if limit_s <= 0 or limit_s >= 2 * heartbeat_s:
        return None
    return Severity.ERROR if limit_s <= heartbeat_s else Severity.WARNING
