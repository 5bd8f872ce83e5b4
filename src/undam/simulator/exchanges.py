"""Bounded log of recent exchanges, for beacon queries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

# Enough entries for a long load test; each takes about 200 bytes.
_MAX_EXCHANGES = 100_000


class ExchangeLog:
    """Log of the end time of each exchange. If it is full, the oldest entry is dropped."""

    def __init__(self, *, max_exchanges: int = _MAX_EXCHANGES) -> None:
        self._max_exchanges = max_exchanges
        self._ends: OrderedDict[str, tuple[int, bool] | None] = OrderedDict()

    def opened(self, exchange_id: str) -> None:
        """Record the start of an exchange."""
        self._ends[exchange_id] = None
        if len(self._ends) > self._max_exchanges:
            self._ends.popitem(last=False)

    def ended(self, exchange_id: str, at_ns: int, *, finished: bool) -> None:
        """Record the end of an exchange.

        Args:
            finished: the complete response was handed to the kernel.
        """
        if exchange_id in self._ends:
            self._ends[exchange_id] = (at_ns, finished)

    def closed(self, exchange_id: str) -> Mapping[str, object]:
        """Return the answer to a ``closed`` query; ``closed_ns`` is null until the end."""
        known = exchange_id in self._ends
        end = self._ends.get(exchange_id)
        return {
            "known": known,
            "closed_ns": end[0] if end else None,
            "finished": end[1] if end else False,
        }
