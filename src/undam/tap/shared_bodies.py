"""Cache of parsed bodies, because both sides of most proxies carry the same bytes.

Parsing takes most of the time of an analysis. An event ends with a blank line; the arrival of that
line is the time of the event on each side.
"""

from __future__ import annotations

import hashlib
import marshal
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from undam.diagnosis.reading import Reading, TimedEvent, read_exchange
from undam.framing import Framing
from undam.record import Ending, Exchange
from undam.timing import Arrival

Key = bytes | str
"""Key of an event: equal for equal events."""

_BLANK = b"\n\n"
# Later versions of the marshal format may encode equal values differently.
_MARSHAL_VERSION = 2


class EventKeys:
    """A stream's content events in the forms that are compared. Equal bodies share one object.

    Args:
        contents: the content events.
    """

    def __init__(self, contents: Sequence[TimedEvent]) -> None:
        self._contents = contents

    @cached_property
    def by_payload(self) -> list[Key]:
        """Return a digest of each event's JSON, or the event's text if it has no JSON."""
        return [_key(item) for item in self._contents]

    @cached_property
    def texts(self) -> list[Key]:
        """Return the events' texts, which stay the same if a proxy translates between APIs."""
        return [item.text for item in self._contents]

    @cached_property
    def payload_counts(self) -> Counter[Key]:
        """Return the number of events for each key in ``by_payload``."""
        return Counter(self.by_payload)

    @cached_property
    def text_counts(self) -> Counter[Key]:
        """Return the number of events for each text."""
        return Counter(self.texts)


def _key(item: TimedEvent) -> Key:
    payload = None if item.meaning is None else item.meaning.payload
    if payload is None:
        return item.text
    try:
        source = marshal.dumps(payload, _MARSHAL_VERSION)  # type: ignore[arg-type]
    except ValueError:  # The value is nested too deeply, or is not JSON.
        source = repr(payload).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(source, digest_size=12).digest()


class KeyedReading(NamedTuple):
    """Parsed body with the keys of its content events."""

    reading: Reading
    keys: EventKeys


def read_keyed(exchange: Exchange) -> KeyedReading:
    """Parse an exchange with `read_exchange`, and add the keys of its events."""
    reading = read_exchange(exchange)
    return KeyedReading(reading, EventKeys(reading.contents))


class BodyReader:
    """Parser for exchanges that caches parsed bodies."""

    def __init__(self) -> None:
        self._parsed: dict[bytes, tuple[KeyedReading, list[int]]] = {}

    def read(self, exchange: Exchange) -> KeyedReading:
        """Return the result of `read_keyed`, from the cache if an equal body was parsed before."""
        body = b"".join(arrival.data for arrival in exchange.arrivals)
        ended = exchange.ending in {Ending.COMPLETE, Ending.CLOSED}
        if not ended or b"\r" in body or not body.endswith(_BLANK):
            return read_keyed(exchange)
        head = exchange.head
        kind = "" if head is None else head.get("content-type") or ""
        about = repr((exchange.api, kind, len(body))).encode()
        key = hashlib.blake2b(about + body, digest_size=16).digest()
        if key not in self._parsed:
            events = [one + _BLANK for one in body[: -len(_BLANK)].split(_BLANK)]
            arrivals = tuple(Arrival(0, event) for event in events)
            keyed = read_keyed(replace(exchange, arrivals=arrivals))
            ends = list(accumulate(len(event) for event in events))
            self._parsed[key] = keyed, ends
        (parsed, keys), ends = self._parsed[key]
        if parsed.problem is not None or parsed.framing is not Framing.SSE:
            return read_keyed(exchange)
        return KeyedReading(_with_times(parsed, ends, exchange), keys)


def _with_times(parsed: Reading, ends: Sequence[int], exchange: Exchange) -> Reading:
    """Return the parsed body with the arrival times of an exchange that has the same body.

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
    # If an arrival ends together with an event, no bytes are pending.
    pending = tuple(total - starts[bisect_left(starts, total + 1) - 1] for total in totals)
    return replace(parsed, exchange=exchange, items=items, pending=pending)
