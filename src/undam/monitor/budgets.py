"""Budgets of a target: probes per hour and per day, and tokens per day."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

HOUR_S, DAY_S = 3600, 86_400
# Records that are older than a day are removed once there are this many of them.
_PRUNE_AT = 256


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """Probes and tokens that the budgets still allow; ``None`` if there is no limit."""

    probes_hour: int | None = None
    probes_day: int | None = None
    tokens_day: int | None = None


class Spending:
    """Probes and tokens of the last day.

    The times are those of a monotonic clock, so that a step of the system clock neither blocks a
    target nor gives it a second budget.

    Args:
        past: time and number of tokens of each probe before the start, oldest first.
    """

    def __init__(self, past: Iterable[tuple[float, int]] = ()) -> None:
        self._at = array("d")
        self._tokens = array("q")
        for at_s, tokens in past:
            self.add(at_s, tokens)

    @property
    def last_tokens(self) -> int:
        """Return the number of tokens in the last probe, as an estimate for the next one."""
        return self._tokens[-1] if self._tokens else 0

    def add(self, at_s: float, tokens: int) -> None:
        """Add a probe."""
        self._at.append(at_s)
        self._tokens.append(tokens)
        old = bisect_left(self._at, at_s - DAY_S)
        if old >= _PRUNE_AT:
            del self._at[:old]
            del self._tokens[:old]

    def since(self, at_s: float) -> tuple[int, int]:
        """Return the number of probes and the number of tokens since a time."""
        first = bisect_left(self._at, at_s)
        return len(self._at) - first, sum(self._tokens[first:])
