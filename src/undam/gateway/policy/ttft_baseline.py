"""Rolling TTFT baseline per model, over the last 512 samples. No I/O.

Memory is bounded, whatever model names clients send.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque

WINDOW = 512
"""Number of samples. With fewer, the p95 fluctuates; with more, it follows load changes slowly."""

MIN_SAMPLES = 40
"""Samples needed for a quantile. The p95 of 40 is the third largest, so two stalls do not move
it."""

_MAX_AGE_S = 900.0
_BLOCK = 64
# The baseline falls quickly and rises slowly: it takes 9000 requests to double. A busy period
# therefore does not raise it, but a lasting change in prompts does.
_FALL_WEIGHT, _MAX_RISE = 0.25, 1.005
# Prompts of equal length have nearly equal TTFTs. The margin of 50 % over the median prevents small
# differences from counting as load.
_MIN_MARGIN = 1.5
# An unknown model name replaces an old one after this many recent requests.
_REPLACE_AFTER = 8


class TtftBaseline:
    """TTFT of one model, from its last `WINDOW` attempts, none older than 15 minutes.

    Cancelled attempts count with their waiting time. Without them, every hedge would lower the
    quantile.
    """

    __slots__ = ("_block", "_order", "_sorted", "unloaded_s")

    def __init__(self) -> None:
        self._order: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._block: list[float] = []
        self.unloaded_s: float | None = None
        """TTFT of an idle upstream: the p75 of quiet periods, at least 1.5 times their median.
        Half of the requests exceed it only under load. ``None`` until enough is known."""

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, ttft_s: float, now_s: float) -> None:
        """Add the TTFT of one attempt, counted from when it was sent to its upstream."""
        order = self._order
        order.append((now_s, ttft_s))
        insort(self._sorted, ttft_s)
        while len(order) > WINDOW or now_s - order[0][0] > _MAX_AGE_S:
            _, old = order.popleft()
            del self._sorted[bisect_left(self._sorted, old)]
        self._block.append(ttft_s)
        if len(self._block) == _BLOCK:
            self._block.sort()
            p75, p50 = self._block[_BLOCK * 3 // 4], self._block[_BLOCK // 2]
            self._update_unloaded(max(p75, _MIN_MARGIN * p50))
            self._block.clear()

    def _update_unloaded(self, block_s: float) -> None:
        before = self.unloaded_s
        if before is None:
            self.unloaded_s = block_s
        elif block_s < before:
            self.unloaded_s = before - _FALL_WEIGHT * (before - block_s)
        else:
            self.unloaded_s = min(block_s, before * _MAX_RISE)

    def quantile(self, q: float) -> float | None:
        """Return the nearest-rank quantile, or ``None`` for fewer than `MIN_SAMPLES` samples."""
        count = len(self._sorted)
        if count < MIN_SAMPLES:
            return None
        return self._sorted[min(count - 1, int(q * count))]


class ModelBaselines:
    """A `TtftBaseline` for each requested model.

    Args:
        max_models: number of models with a baseline of their own; beyond it, the least recently
            requested one is dropped.
    """

    def __init__(self, max_models: int = 64) -> None:
        self._max_models = max_models
        self._known: OrderedDict[str, TtftBaseline] = OrderedDict()
        self._unknown: OrderedDict[str, int] = OrderedDict()
        self._others = TtftBaseline()

    def of(self, model: str) -> TtftBaseline:
        """Return the baseline for ``model``, or the baseline shared by all other models.

        When the table is full, a new name replaces an old one only if it is requested often. A
        client that uses a new name for each request therefore displaces no model.
        """
        known = self._known.get(model)
        if known is not None:
            self._known.move_to_end(model)
            return known
        if len(self._known) >= self._max_models and not self._is_frequent(model):
            return self._others
        if len(self._known) >= self._max_models:
            self._known.popitem(last=False)
        return self._known.setdefault(model, TtftBaseline())

    def _is_frequent(self, model: str) -> bool:
        requests = self._unknown.pop(model, 0) + 1
        if requests >= _REPLACE_AFTER:
            return True
        self._unknown[model] = requests
        if len(self._unknown) > self._max_models:
            self._unknown.popitem(last=False)
        return False
