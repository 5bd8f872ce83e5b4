"""How bad a limit is, the same for every dialect that tells its age limits from its idle ones."""

from __future__ import annotations

from undam.rules import Severity

# Long answers of reasoning models take minutes; an hour is more than any of them.
_SURE_S = 60.0
_ENOUGH_S = 3600.0


def total_severity(limit_s: float) -> Severity | None:
    """Of a limit on the whole response, which no heartbeat moves; 0 is no limit."""
    if limit_s <= 0 or limit_s >= _ENOUGH_S:
        return None
    return Severity.ERROR if limit_s <= _SURE_S else Severity.WARNING


def idle_severity(limit_s: float, heartbeat_s: float) -> Severity | None:
    """Of a limit on silence; 0 is no limit. One below an interval is met by every silent stream,
    one below two as soon as a heartbeat is late or lost to a reconnect."""
    if limit_s <= 0 or limit_s >= 2 * heartbeat_s:
        return None
    return Severity.ERROR if limit_s <= heartbeat_s else Severity.WARNING
