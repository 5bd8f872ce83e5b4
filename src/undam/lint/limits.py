"""Severity of time limits, for all dialects: idle timeouts and limits on the whole response."""

from __future__ import annotations

from dataclasses import dataclass

from undam.rules import Severity

# Queueing, prefill and reasoning can take minutes, during which no token is sent.
DEFAULT_SILENCE_S = 300.0
# Long responses from reasoning models take minutes, but less than an hour.
_CERTAIN_CUT_S = 60.0
_HARMLESS_S = 3600.0


@dataclass(frozen=True, slots=True)
class ExpectedSilence:
    """Idle period that a stream must survive. All idle timeouts are compared with it.

    Args:
        silence_s: longest expected silence if the servers send no heartbeats.
        heartbeat_s: interval of the heartbeats; ``None`` or 0 if none are known.
    """

    silence_s: float = DEFAULT_SILENCE_S
    heartbeat_s: float | None = None

    def severity(self, limit_s: float) -> Severity | None:
        """Return the severity of an idle timeout. A value of 0 means no timeout.

        With heartbeats, a limit of at most one interval cuts every silent stream, and a limit below
        two intervals cuts a stream as soon as one heartbeat is late or lost. Without heartbeats, a
        shorter limit than the expected silence cuts some streams.
        """
        if limit_s <= 0:
            return None
        if self.heartbeat_s:
            if limit_s >= 2 * self.heartbeat_s:
                return None
            return Severity.ERROR if limit_s <= self.heartbeat_s else Severity.WARNING
        return Severity.WARNING if limit_s < self.silence_s else None

    @property
    def reason(self) -> str:
        """Clause for a message: compares a limit with the heartbeat interval or the idle period."""
        if self.heartbeat_s:
            return f"which is less than two heartbeat intervals of {self.heartbeat_s:g} s"
        return (
            f"and a model can be silent for {self.silence_s:g} s before its first token "
            "(no heartbeat is known)"
        )


def nginx_limit(limit_s: float, silence: ExpectedSilence) -> tuple[Severity | None, str]:
    """Return the severity of a read timeout of nginx, and the clause for its message.

    In nginx, 0 does not mean that there is no limit: every response is cut at once.
    """
    if limit_s == 0:
        return Severity.ERROR, "which does not turn the limit off"
    return silence.severity(limit_s), silence.reason


def total_limit_severity(limit_s: float) -> Severity | None:
    """Return the severity of a limit on the whole response. Heartbeats do not extend such a limit.

    A limit of 0 means no limit.
    """
    if limit_s <= 0 or limit_s >= _HARMLESS_S:
        return None
    return Severity.ERROR if limit_s <= _CERTAIN_CUT_S else Severity.WARNING
