"""Hedging: when to repeat a request that has not received content. No I/O and no clock.

Hedging helps when one replica stalls. Under load, it does not help but adds to the load. Hedges
therefore have a strict budget, and none are sent while the upstreams are busy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from undam.gateway.config.limits import HedgeLimits
from undam.gateway.policy.ttft_baseline import ModelBaselines
from undam.timing import median


class HedgeDenial(StrEnum):
    """Reason why a due hedge is not sent."""

    BUDGET = "budget"
    TARGET_FULL = "target-full"
    TARGET_SLOW = "target-slow"
    MANY_LATE = "many-late"
    IN_VAIN = "in-vain"
    QUEUED = "queued"


@dataclass(frozen=True, slots=True)
class HedgeTarget:
    """The upstream that the hedge would be sent to.

    Args:
        outstanding: current number of streams.
        limit: maximum number of streams; 0 if unknown.
    """

    name: str
    outstanding: int
    limit: int = 0


# Maximum utilization of the target upstream. Above this limit, the hedge or the next request would
# be queued.
_MAX_UTILIZATION = 0.8
# An upstream is busy if over half of its recent attempts took longer than the unloaded TTFT.
_RECENT_ATTEMPTS = 32
_MIN_RECENT_ATTEMPTS = 8
_RECENT_AGE_S = 30.0
# By definition, fewer than 5 % of the requests take longer than the p95, and even fewer take twice
# as long. A share over 10 % is a sign of load, not of a stall.
_MAX_LATE_SHARE = 0.10
_LATE_WINDOW = 64
# If one replica stalls, nearly every hedge wins. If all are slow, at most half of the hedges win.
_MIN_WIN_SHARE = 0.5
_WIN_WINDOW = 12
_PAUSE_S = 10.0


class Hedging:
    """Hedging for one gateway process: delay, budget and load checks."""

    def __init__(self, limits: HedgeLimits) -> None:
        self.limits = limits
        self._baselines = ModelBaselines()
        # The budget starts empty, so that the share of extra requests never exceeds ``max_share``.
        self._budget = 0.0
        self._slowness: dict[str, deque[tuple[float, float]]] = {}
        self._late: deque[bool] = deque(maxlen=_LATE_WINDOW)
        self._won: deque[bool] = deque(maxlen=_WIN_WINDOW)
        self._paused_until_s = 0.0

    def count_request(self) -> None:
        """Count a request that may be hedged, which increases the budget."""
        self._budget = min(self.limits.burst, self._budget + self.limits.max_share)

    def delay_s(self, model: str) -> float | None:
        """Return how long to wait for content before hedging; ``None`` if not known yet."""
        limits = self.limits
        if limits.mode == "off":
            return None
        if limits.mode == "fixed":
            return limits.fixed_delay_s
        baseline = self._baselines.of(model)
        p75, p95 = baseline.quantile(0.75), baseline.quantile(0.95)
        if p75 is None or p95 is None:
            return None
        return max(limits.min_delay_s, min(limits.p95_factor * p95, limits.p75_factor * p75))

    def request_hedge(
        self, target: HedgeTarget, now_s: float, *, queued: bool = False
    ) -> HedgeDenial | None:
        """Deduct a due hedge from the budget; if the hedge is denied, return the reason instead.

        Args:
            queued: requests are waiting for admission, or the gateway is nearly full.
        """
        self._late.append(True)
        denial = self._denial(target, now_s, queued=queued)
        if denial is None:
            self._budget -= 1.0
        return denial

    def record_ttft(self, model: str, upstream: str, ttft_s: float, now_s: float) -> None:
        """Record the time to content of an attempt, or until the attempt was cancelled."""
        baseline = self._baselines.of(model)
        baseline.add(ttft_s, now_s)
        if baseline.unloaded_s:
            recent = self._slowness.get(upstream)
            if recent is None:
                recent = self._slowness[upstream] = deque(maxlen=_RECENT_ATTEMPTS)
            recent.append((now_s, ttft_s / baseline.unloaded_s))

    def record_on_time(self) -> None:
        """Record a request whose content arrived before a hedge was due."""
        self._late.append(False)

    def record_result(self, now_s: float, *, won: bool) -> None:
        """Record whether the hedge of a request returned the first content."""
        self._won.append(won)
        if len(self._won) == _WIN_WINDOW and sum(self._won) < _MIN_WIN_SHARE * _WIN_WINDOW:
            # Half of the results are kept, so that only a few hedges are tried after the pause.
            self._paused_until_s = now_s + _PAUSE_S
            for _ in range(_WIN_WINDOW // 2):
                self._won.popleft()

    def forget(self, upstream: str) -> None:
        """Drop the records of an upstream that was removed."""
        self._slowness.pop(upstream, None)

    def _denial(self, target: HedgeTarget, now_s: float, *, queued: bool) -> HedgeDenial | None:
        if queued:
            return HedgeDenial.QUEUED
        if target.limit and target.outstanding + 1 > _MAX_UTILIZATION * target.limit:
            return HedgeDenial.TARGET_FULL
        late = self._late
        if len(late) == _LATE_WINDOW and sum(late) > _MAX_LATE_SHARE * _LATE_WINDOW:
            return HedgeDenial.MANY_LATE
        if now_s < self._paused_until_s:
            return HedgeDenial.IN_VAIN
        if self._is_slow(target.name, now_s):
            return HedgeDenial.TARGET_SLOW
        if self._budget < 1.0:
            return HedgeDenial.BUDGET
        return None

    def _is_slow(self, upstream: str, now_s: float) -> bool:
        recent = self._slowness.get(upstream, ())
        fresh = [slowness for at, slowness in recent if now_s - at <= _RECENT_AGE_S]
        return len(fresh) >= _MIN_RECENT_ATTEMPTS and median(fresh) > 1
