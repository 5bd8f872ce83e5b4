"""When a second request goes out for one whose content does not come. Pure: no clock.

Hedging repairs the stall of one replica. It cannot repair load, and makes it worse: so there is a
budget, which is never exceeded, and a gate, which is shut when upstreams are busy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from undam.gateway.policy.ttft_baseline import ModelBaselines
from undam.timing import median

Mode = Literal["off", "auto", "fixed"]


class HedgeDenial(StrEnum):
    """Why a hedge that was due is not sent."""

    BUDGET = "budget"
    TARGET_FULL = "target-full"
    TARGET_SLOW = "target-slow"
    MANY_LATE = "many-late"
    IN_VAIN = "in-vain"
    QUEUED = "queued"


@dataclass(frozen=True, slots=True)
class HedgeLimits:
    """What hedging may do.

    Args:
        fixed_s: the delay of mode ``fixed``.
        times_p95: the delay of mode ``auto``, in p95s of the model's TTFT. Simulated at 85 %
            load, hedging at 1 made p99 worse by 80 %, at 2 by 10 %.
        times_p75: a bound on it, in p75s. Where nearly a twentieth of the requests stall, p95 is
            now and then the stall itself; of waits without stalls, less than one in a hundred is
            longer than 5 p75s.
        least_s: the shortest delay of mode ``auto``; below it a second request costs more than
            the wait.
        share: of extra requests, at most, at any time.
        burst: hedges that may be saved up, as stalls come in clusters.
    """

    mode: Mode = "off"
    fixed_s: float = 0.0
    times_p95: float = 2.0
    times_p75: float = 5.0
    least_s: float = 0.01
    share: float = 0.05
    burst: float = 10.0


@dataclass(frozen=True, slots=True)
class HedgeTarget:
    """The upstream that would get the hedge.

    Args:
        outstanding: streams on it.
        limit: streams that it takes; 0 where that is not known.
    """

    name: str
    outstanding: int
    limit: int = 0


# A target this full would put the hedge, or the next request, into its own queue.
_ROOM = 0.8
# The last attempts there: when half of them took longer than is calm, it is busy.
_SLOW_SAMPLES = 32
_SLOW_LEAST = 8
_SLOW_AGE_S = 30.0
# By its definition, less than a twentieth of the requests comes later than p95, let alone 2 x p95.
_MANY = 0.10
_LATE_WINDOW = 64
# Where a replica stalls, nearly every hedge wins; where all are slow, half of them at best.
_WINS = 0.5
_WIN_WINDOW = 12
_SHUT_S = 10.0


class Hedging:
    """The delay, the budget and the gate of one gateway process."""

    def __init__(self, terms: HedgeLimits) -> None:
        self.terms = terms
        self._models = ModelBaselines()
        # Empty at first: at no time are there more than ``share`` extra requests.
        self._budget = 0.0
        self._slowness: dict[str, deque[tuple[float, float]]] = {}
        self._late: deque[bool] = deque(maxlen=_LATE_WINDOW)
        self._won: deque[bool] = deque(maxlen=_WIN_WINDOW)
        self._shut_until_s = 0.0

    def asked(self) -> None:
        """A request came that may be hedged."""
        self._budget = min(self.terms.burst, self._budget + self.terms.share)

    def delay_s(self, model: str) -> float | None:
        """How long to wait for content before a hedge is due; ``None`` while that is not known."""
        if self.terms.mode == "off":
            return None
        if self.terms.mode == "fixed":
            return self.terms.fixed_s
        usual, terms = self._models.of(model), self.terms
        p75, p95 = usual.quantile(0.75), usual.quantile(0.95)
        if p75 is None or p95 is None:
            return None
        return max(terms.least_s, min(terms.times_p95 * p95, terms.times_p75 * p75))

    def take(
        self, target: HedgeTarget, now_s: float, *, queued: bool = False
    ) -> HedgeDenial | None:
        """Ask to send a hedge that is due; ``None`` takes it from the budget.

        Args:
            queued: requests wait to be admitted, or the gateway is nearly full.
        """
        self._late.append(True)
        denial = self._denial(target, now_s, queued=queued)
        if denial is None:
            self._budget -= 1.0
        return denial

    def answered(self, model: str, upstream: str, ttft_s: float, now_s: float) -> None:
        """An attempt brought content, ``ttft_s`` after it was sent, or was given up after that."""
        usual = self._models.of(model)
        usual.add(ttft_s, now_s)
        if usual.baseline_s:
            recent = self._slowness.get(upstream)
            if recent is None:
                recent = self._slowness[upstream] = deque(maxlen=_SLOW_SAMPLES)
            recent.append((now_s, ttft_s / usual.baseline_s))

    def in_time(self) -> None:
        """The content of a request that may be hedged came before a hedge was due."""
        self._late.append(False)

    def decided(self, now_s: float, *, won: bool) -> None:
        """A hedged request has its content: from the hedge, if it won."""
        self._won.append(won)
        if len(self._won) == _WIN_WINDOW and sum(self._won) < _WINS * _WIN_WINDOW:
            # After a pause a few more are tried: half of the memory goes.
            self._shut_until_s = now_s + _SHUT_S
            for _ in range(_WIN_WINDOW // 2):
                self._won.popleft()

    def forget(self, upstream: str) -> None:
        """An upstream is gone."""
        self._slowness.pop(upstream, None)

    def _denial(self, target: HedgeTarget, now_s: float, *, queued: bool) -> HedgeDenial | None:
        if queued:
            return HedgeDenial.QUEUED
        if target.limit and target.outstanding + 1 > _ROOM * target.limit:
            return HedgeDenial.TARGET_FULL
        late = self._late
        if len(late) == _LATE_WINDOW and sum(late) > _MANY * _LATE_WINDOW:
            return HedgeDenial.MANY_LATE
        if now_s < self._shut_until_s:
            return HedgeDenial.IN_VAIN
        if self._is_slow(target.name, now_s):
            return HedgeDenial.TARGET_SLOW
        if self._budget < 1.0:
            return HedgeDenial.BUDGET
        return None

    def _is_slow(self, upstream: str, now_s: float) -> bool:
        recent = self._slowness.get(upstream, ())
        fresh = [slowness for at, slowness in recent if now_s - at <= _SLOW_AGE_S]
        return len(fresh) >= _SLOW_LEAST and median(fresh) > 1
