"""What the simulator, as a beacon, remembers of its exchanges. Bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

# Enough for every exchange of a long load run; some 200 bytes each.
_REMEMBERED = 100_000


class ExchangeLog:
    """What became of each exchange; the oldest are forgotten."""

    def __init__(self, *, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._ends: OrderedDict[str, tuple[int, bool] | None] = OrderedDict()

    def opened(self, exchange_id: str) -> None:
        """Note that an exchange began."""
        self._ends[exchange_id] = None
        if len(self._ends) > self._remembered:
            self._ends.popitem(last=False)

    def ended(self, exchange_id: str, at_ns: int, *, finished: bool) -> None:
        """Note its end, and whether the whole answer was given to the kernel."""
        if exchange_id in self._ends:
            self._ends[exchange_id] = (at_ns, finished)

    def closed(self, exchange_id: str) -> Mapping[str, object]:
        """The answer to the question ``closed``; ``closed_ns`` is null while it goes on."""
        known = exchange_id in self._ends
        end = self._ends.get(exchange_id)
        return {
            "known": known,
            "closed_ns": end[0] if end else None,
            "finished": end[1] if end else False,
        }
