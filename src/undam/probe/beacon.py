"""Questions to a beacon: what time is it there, and did you see the client leave?"""

from __future__ import annotations

import json
from dataclasses import dataclass

from undam.diagnosis.holds import Offset, offset_from
from undam.errors import UndamError, UsageError
from undam.host import host_name
from undam.probe.fetch import fetch, patient
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.record import Exchange, redact_url
from undam.timing import BeaconHead, BeaconQuestion
from undam.timing.beacon import HEADER, format_question, parse_head

# The best of a few: one question may meet a busy moment, and the shortest way is the true one.
_ASKED = 5
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Closed:
    """How an exchange ended at the beacon.

    Args:
        at_ns: when, on the beacon's clock.
        finished: the whole answer had been given to the kernel by then.
    """

    at_ns: int
    finished: bool


_NO_BEACON = (
    "{name} ({url}) does not answer as a beacon: --beacon needs `undam sim` or "
    "undam.asgi.Beacon at the far end, and hops that pass its header"
)


async def ask_clock(options: CheckOptions, place: Place) -> Offset:
    """How the beacon's clock stands to ours, over ``place``.

    Raises:
        UsageError: the far end is no beacon.
    """
    offsets: list[Offset] = []
    for _ in range(_ASKED):
        exchange = await _ask(options, place, BeaconQuestion("clock"))
        answer = _json(exchange)
        if "left_ns" not in answer:
            raise UsageError(_NO_BEACON.format(name=place.name, url=place.url))
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
    """How exchange ``ident`` ended at the beacon; ``None`` while it goes on.

    Raises:
        UndamError: the beacon knows no such exchange, so it cannot tell.
    """
    answer = _json(await _ask(options, place, BeaconQuestion("closed", ident)))
    if answer.get("known") is not True:
        raise UndamError(f"{place.name} ({redact_url(place.url)}): its beacon lost an exchange")
    at_ns = answer.get("closed_ns")
    return Closed(at_ns, answer.get("finished") is True) if type(at_ns) is int else None


def head_of(exchange: Exchange) -> BeaconHead | None:
    """What the beacon said in the response head."""
    value = exchange.head.get(HEADER) if exchange.head else None
    return None if value is None else parse_head(value)


async def _ask(options: CheckOptions, place: Place, question: BeaconQuestion) -> Exchange:
    request = request_for(options, place, question=format_question(question))
    config = patient(options.client, _ANSWER_S)
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
        raise UndamError(f"the beacon's answer has no {name}")
    return value
