"""Queries to a beacon: its clock, and whether it noticed a client disconnect."""

from __future__ import annotations

import json
from dataclasses import dataclass

from undam.diagnosis.holds import ClockOffset, offset_from
from undam.errors import UndamError, UsageError
from undam.host import host_name
from undam.probe.fetch import fetch, with_timeout
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.record import Exchange, redact_url
from undam.timing import BeaconHead, BeaconQuery
from undam.timing.beacon import HEADER, format_query, parse_head

# One query may be delayed by a busy machine, so the query with the shortest path counts.
_ASKED = 5
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Closed:
    """End of an exchange as the beacon reports it.

    Args:
        at_ns: time of the end, on the beacon's clock.
        finished: whether the whole answer had been passed to the kernel by then.
    """

    at_ns: int
    finished: bool


_NOT_A_BEACON = (
    "{name} ({url}) does not answer as a beacon: --beacon needs `undam sim` or "
    "undam.asgi.Beacon at the far end, and hops that pass its header"
)


async def ask_clock(options: CheckOptions, place: Place) -> ClockOffset:
    """Return the offset of the beacon's clock, measured through ``place``.

    Raises:
        UsageError: the far end is not a beacon.
    """
    offsets: list[ClockOffset] = []
    for _ in range(_ASKED):
        exchange = await _ask(options, place, BeaconQuery("clock"))
        answer = _json(exchange)
        if "left_ns" not in answer:
            raise UsageError(_NOT_A_BEACON.format(name=place.name, url=place.url))
        received = exchange.stamps.head_ns or exchange.ended_ns
        sent = exchange.stamps.sent_ns or exchange.stamps.start_ns
        offsets.append(
            offset_from(
                sent,
                _whole(answer, "arrived_ns"),
                _whole(answer, "left_ns"),
                received,
                same_host=answer.get("host") == host_name(),
            )
        )
    return min(offsets, key=lambda one: (one.uncertainty_ns, one.path_ns))


async def ask_closed(options: CheckOptions, place: Place, ident: str) -> Closed | None:
    """Return how exchange ``ident`` ended at the beacon; ``None`` while it is open.

    Raises:
        UndamError: the beacon does not know this exchange.
    """
    answer = _json(await _ask(options, place, BeaconQuery("closed", ident)))
    if answer.get("known") is not True:
        raise UndamError(
            f"{place.name} ({redact_url(place.url)}): the beacon does not know the exchange"
        )
    at_ns = answer.get("closed_ns")
    return Closed(at_ns, answer.get("finished") is True) if type(at_ns) is int else None


def head_of(exchange: Exchange) -> BeaconHead | None:
    """Return the beacon's header of the response, parsed; ``None`` without one."""
    value = exchange.head.get(HEADER) if exchange.head else None
    return None if value is None else parse_head(value)


async def _ask(options: CheckOptions, place: Place, query: BeaconQuery) -> Exchange:
    request = request_for(options, place, query=format_query(query))
    config = with_timeout(options.client, _ANSWER_S)
    return await fetch(request, config, hop=place.name, api=api_of(place).name)


def _json(exchange: Exchange) -> dict[str, object]:
    try:
        answer = json.loads(b"".join(arrival.data for arrival in exchange.arrivals))
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _whole(answer: dict[str, object], name: str) -> int:
    value = answer.get(name)
    if type(value) is not int:
        raise UndamError(f"the beacon's answer lacks {name}")
    return value
