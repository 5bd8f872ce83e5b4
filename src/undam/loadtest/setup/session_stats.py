"""Metrics of conversations: how many were complete, their duration, and the TTFT of each turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from undam.loadtest.setup.plan import session_share
from undam.metrics.json_form import percentiles
from undam.record import Outcome, RequestResult
from undam.timing import Histogram

# Later turns are counted as this turn, so that the table stays short.
_MAX_TURNS = 20
_FINE = partial(Histogram, bits=14)


@dataclass(slots=True)
class _Conversation:
    first_ns: int
    last_ns: int
    complete_turns: int = 0
    failed_turns: int = 0


class SessionStats:
    """Metrics of the conversations in a closed loop.

    Args:
        sessions: as in ``ClosedLoop``; empty if requests are independent.
        workers: number of workers, which share the conversations.
    """

    def __init__(self, sessions: Sequence[tuple[int, int]] = (), workers: int = 1) -> None:
        self._shares = [session_share(sessions, worker, workers) for worker in range(workers)]
        self._found: dict[tuple[int, int], _Conversation] = {}
        self._turns: dict[int, Histogram] = {}

    def add(self, result: RequestResult) -> None:
        """Add one request. Requests may be added in any order."""
        if result.session is None or result.turn is None:
            return
        key = result.worker, result.session
        one = self._found.setdefault(key, _Conversation(result.intended_ns, result.ended_ns))
        one.first_ns = min(one.first_ns, result.intended_ns)
        one.last_ns = max(one.last_ns, result.ended_ns)
        is_complete = result.outcome is Outcome.COMPLETE
        one.complete_turns += is_complete
        one.failed_turns += not is_complete and result.outcome is not Outcome.ABANDONED
        if not result.warmup and result.ttft_ns is not None and result.ttft_ns >= 0:
            turn = min(result.turn, _MAX_TURNS - 1)
            self._turns.setdefault(turn, _FINE()).record(result.ttft_ns)

    def to_json(self) -> dict[str, Any] | None:
        """Return the metrics, or ``None`` if there are no conversations.

        A conversation is complete if all its turns are. Warm-up requests are turns like any other,
        but their TTFT is left out.
        """
        if not self._found:
            return None
        durations = _FINE()
        for (worker, session), one in self._found.items():
            share = self._shares[worker]
            if share and one.complete_turns == share[session % len(share)][1]:
                durations.record(max(0, one.last_ns - one.first_ns))
        return {
            "started": len(self._found),
            "complete": durations.count,
            "failed": sum(one.failed_turns > 0 for one in self._found.values()),
            "duration_ms": percentiles(durations),
            "turns": [self._turn(turn) for turn in sorted(self._turns)],
        }

    def _turn(self, turn: int) -> Mapping[str, Any]:
        return {"turn": turn + 1, "ttft_ms": percentiles(self._turns[turn])}
