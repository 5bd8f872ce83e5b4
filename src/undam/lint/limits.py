"""Severity of timeouts, for every dialect: limits on silence and on the whole response."""

from __future__ import annotations

from dataclasses import dataclass

from undam.rules import Severity

# Between request and first token, a stream can be silent for minutes: queue, prefill, reasoning.
DEFAULT_SILENCE_S = 300.0
# Long responses of reasoning models take minutes, but less than an hour.
_CERTAIN_CUT_S = 60.0
_HARMLESS_S = 3600.0


@dataclass(frozen=True, slots=True)
class ExpectedSilence:
    """The silence that a stream must survive; every idle limit is compared with it.

    Args:
        silence_s: longest expected silence if the servers send no heartbeats.
        heartbeat_s: interval of the heartbeats; ``None`` or 0 if none are known.
    """

    silence_s: float = DEFAULT_SILENCE_S
    heartbeat_s: float | None = None

    def severity(self, limit_s: float) -> Severity | None:
        """Return the severity of a limit on silence. A limit of 0 means no limit.

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
        """The comparison for a message, as a clause whose subject is the limit."""
        if self.heartbeat_s:
            return f"which is less than two heartbeat intervals of {self.heartbeat_s:g} s"
        return (
            f"and a model can be silent for {self.silence_s:g} s before its first token "
            "(no heartbeat is known)"
        )


def total_limit_severity(limit_s: float) -> Severity | None:
    """Return the severity of a limit on the whole response, which heartbeats do not extend.

    A limit of 0 means no limit.
    """
    if limit_s <= 0 or limit_s >= _HARMLESS_S:
        return None
    return Severity.ERROR if limit_s <= _CERTAIN_CUT_S else Severity.WARNING
