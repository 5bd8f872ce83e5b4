"""What TTFT is usual, per model: the last of them, sorted. Pure; memory is bounded whatever names
clients send."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque

WINDOW = 512
"""Samples that count: with fewer, a p95 jumps; with more, it is slow to follow the load."""

ENOUGH = 40
"""Samples before a p95 is told: it is then the third largest, so two stalls do not spoil it."""

_STALE_S = 900.0
_BLOCK = 64
# What is calm follows what is quicker at once, and what is slower so slowly that it takes 9000
# requests to double: a time of load is not taken for the rule, other prompts are in the end.
_DOWN, _UP = 0.25, 1.005
# Prompts of one length differ little; a quarter more is then no load yet.
_LEAST_MORE = 1.5
# Asks of a new name, among the last new ones, before it takes the place of an old one.
_OFTEN = 8


class TtftBaseline:
    """The TTFT of one model, over its last `WINDOW` attempts of at most 15 minutes.

    Attempts that were given up count with the time they had waited: leaving them out would make
    the quantile smaller with every hedge.
    """

    __slots__ = ("_block", "_order", "_sorted", "baseline_s")

    def __init__(self) -> None:
        self._order: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._block: list[float] = []
        self.baseline_s: float | None = None
        """A TTFT that half of the requests would exceed only under load: the p75, and at least 1.5
        times the median, of times when nothing was busy."""

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, ttft_s: float, now_s: float) -> None:
        """One attempt's own TTFT, from when it was sent to this upstream."""
        order = self._order
        order.append((now_s, ttft_s))
        insort(self._sorted, ttft_s)
        while len(order) > WINDOW or now_s - order[0][0] > _STALE_S:
            _, old = order.popleft()
            del self._sorted[bisect_left(self._sorted, old)]
        self._block.append(ttft_s)
        if len(self._block) == _BLOCK:
            self._block.sort()
            self._learn(max(self._block[_BLOCK * 3 // 4], _LEAST_MORE * self._block[_BLOCK // 2]))
            self._block.clear()

    def _learn(self, now_s: float) -> None:
        before = self.baseline_s
        if before is None:
            self.baseline_s = now_s
        elif now_s < before:
            self.baseline_s = before - _DOWN * (before - now_s)
        else:
            self.baseline_s = min(now_s, before * _UP)

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile; ``None`` of fewer than `ENOUGH`."""
        count = len(self._sorted)
        if count < ENOUGH:
            return None
        return self._sorted[min(count - 1, int(q * count))]


class ModelBaselines:
    """A `TtftBaseline` for each model that is asked for.

    Args:
        most: models told apart; of more, the one that was asked for longest ago is forgotten.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._known: OrderedDict[str, TtftBaseline] = OrderedDict()
        self._new: OrderedDict[str, int] = OrderedDict()
        self._others = TtftBaseline()

    def of(self, model: str) -> TtftBaseline:
        """The one of ``model``, or of all others while it is too new to have its own.

        When all places are taken, a new name gets one only when it comes often, so a client that
        makes up a name for each request pushes nobody out.
        """
        known = self._known.get(model)
        if known is not None:
            self._known.move_to_end(model)
            return known
        if len(self._known) >= self._most and not self._again(model):
            return self._others
        if len(self._known) >= self._most:
            self._known.popitem(last=False)
        return self._known.setdefault(model, TtftBaseline())

    def _again(self, model: str) -> bool:
        seen = self._new.pop(model, 0) + 1
        if seen >= _OFTEN:
            return True
        self._new[model] = seen
        if len(self._new) > self._most:
            self._new.popitem(last=False)
        return False
