"""Cache of parsed bodies: both sides of most proxies carry the same bytes at different times.

Parsing takes most of the time of an analysis. An event ends with a blank line; the arrival of that
line is the time of the event on each side.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from undam.diagnosis.reading import Reading, TimedEvent, read_exchange
from undam.framing import Framing
from undam.record import Ending, Exchange
from undam.timing import Arrival

_BLANK = b"\n\n"


class BodyReader:
    """Parser of exchanges that keeps their bodies for later ones."""

    def __init__(self) -> None:
        self._parsed: dict[bytes, tuple[Reading, list[int]]] = {}

    def read(self, exchange: Exchange) -> Reading:
        """Return the result of `read_exchange`, and reuse the reading of an equal body."""
        body = b"".join(arrival.data for arrival in exchange.arrivals)
        ended = exchange.ending in {Ending.COMPLETE, Ending.CLOSED}
        if not ended or b"\r" in body or not body.endswith(_BLANK):
            return read_exchange(exchange)
        head = exchange.head
        kind = "" if head is None else head.get("content-type") or ""
        about = repr((exchange.api, kind, len(body))).encode()
        key = hashlib.blake2b(about + body, digest_size=16).digest()
        if key not in self._parsed:
            events = [one + _BLANK for one in body[: -len(_BLANK)].split(_BLANK)]
            arrivals = tuple(Arrival(0, event) for event in events)
            reading = read_exchange(replace(exchange, arrivals=arrivals))
            ends = list(accumulate(len(event) for event in events))
            self._parsed[key] = reading, ends
        parsed, ends = self._parsed[key]
        if parsed.problem is not None or parsed.framing is not Framing.SSE:
            return read_exchange(exchange)
        return _with_times(parsed, ends, exchange)


def _with_times(parsed: Reading, ends: Sequence[int], exchange: Exchange) -> Reading:
    """Return the reading of an exchange with the same body.

    Args:
        ends: position after each arrival of ``parsed``. Each arrival contains one event.
    """
    arrivals = exchange.arrivals
    totals = list(accumulate(len(arrival.data) for arrival in arrivals))
    reads = [bisect_left(totals, end) for end in ends]
    items = tuple(
        TimedEvent(
            arrivals[reads[item.read]].at_ns, reads[item.read], item.meaning, item.text, item.due,
            item.id,
        )
        for item in parsed.items
    )  # fmt: skip
    starts = [0, *ends]
    # An arrival that ends with an event leaves nothing pending.
    pending = tuple(total - starts[bisect_left(starts, total + 1) - 1] for total in totals)
    return replace(parsed, exchange=exchange, items=items, pending=pending)
