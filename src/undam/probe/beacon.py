"""Queries to a beacon: for its clock, and for whether it noticed a client disconnect."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from undam.diagnosis.holds import ClockOffset, offset_from
from undam.diagnosis.reading import read_exchange
from undam.errors import UndamError, UsageError
from undam.host import host_name
from undam.json_values import MAX_INT
from undam.probe.fetch import fetch_stream, with_timeout
from undam.probe.options import CheckOptions, Place, api_of, client_for, request_for
from undam.record import Exchange, redact_url
from undam.timing import BeaconHead, BeaconQuery
from undam.timing.beacon import HEADER, format_query, parse_head
from undam.timing.numbered_text import parse_clock

# A busy machine may delay a query, so the query with the shortest round trip is used.
_ASKED = 5
_ANSWER_S = 10.0
# Maximum length of text that is searched for a clock. The search is repeated for each event.
_CLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Closed:
    """End of an exchange, as reported by the beacon.

    Args:
        at_ns: time of the end, on the beacon's clock.
        finished: whether the whole answer had been passed to the kernel by then.
    """

    at_ns: int
    finished: bool


_NOT_A_BEACON = (
    "{name} ({url}) does not answer as a beacon: --beacon needs `undam sim` or undam.asgi.Beacon "
    "at the far end, and hops that pass its header, or the prompt with the word undam-beacon "
    "(see docs/beacon.md)"
)


@dataclass(frozen=True, slots=True)
class BeaconClock:
    """A beacon's answer to a query for its clock.

    Args:
        numbered: whether it can send numbered text.
    """

    offset: ClockOffset
    numbered: bool


async def ask_clock(options: CheckOptions, place: Place, model: str | None) -> BeaconClock:
    """Return the offset of the beacon's clock, measured through ``place``.

    The query is in the header and in the prompt. A beacon that receives the header answers in
    JSON; one that receives only the prompt answers in the text of a stream.

    Raises:
        UsageError: the far end is not a beacon.
    """
    answers: list[BeaconClock] = []
    for _ in range(_ASKED):
        exchange = await _ask(options, place, BeaconQuery("clock"), model)
        answer = _json(exchange)
        in_text = "left_ns" not in answer
        received = exchange.stamps.head_ns or exchange.ended_ns
        if in_text:
            answer, received = _clock_in_text(exchange)
        if not answer:
            raise UsageError(_NOT_A_BEACON.format(name=place.name, url=redact_url(place.url)))
        offset = offset_from(
            exchange.stamps.sent_ns or exchange.stamps.start_ns,
            _whole(answer, "arrived_ns"),
            _whole(answer, "left_ns"),
            received,
            same_host=answer.get("host") == host_name(),
        )
        if in_text and not offset.uncertainty_ns:
            # On the same host, a delay in the application is a hold, not a delay of the path.
            offset = replace(offset, path_ns=0)
        answers.append(BeaconClock(offset, answer.get("numbered") is True))
    return min(answers, key=lambda one: (one.offset.uncertainty_ns, one.offset.path_ns))


def _clock_in_text(exchange: Exchange) -> tuple[dict[str, object], int]:
    """Return the clock in the text of a stream, and the time at which its text was complete."""
    text = ""
    for item in read_exchange(exchange).contents:
        text += item.shown
        if len(text) > _CLOCK_BYTES:
            break
        if clock := parse_clock(text):
            arrived_ns, left_ns, host = clock
            answer: dict[str, object] = {
                "arrived_ns": arrived_ns, "left_ns": left_ns, "host": host, "numbered": True,
            }  # fmt: skip
            return answer, item.at_ns
    return {}, 0


async def ask_closed(options: CheckOptions, place: Place, ident: str) -> Closed | None:
    """Return how the exchange ``ident`` ended at the beacon; ``None`` if it is still open.

    Raises:
        UndamError: the beacon has no record of this exchange.
    """
    answer = _json(await _ask(options, place, BeaconQuery("closed", ident)))
    if answer.get("known") is not True:
        raise UndamError(
            f"{place.name} ({redact_url(place.url)}): the beacon does not know the exchange"
        )
    at_ns = answer.get("closed_ns")
    if type(at_ns) is not int or not 0 <= at_ns <= MAX_INT:
        return None
    return Closed(at_ns, answer.get("finished") is True)


def head_of(exchange: Exchange) -> BeaconHead | None:
    """Return the parsed beacon header of the response, or ``None`` if it has none."""
    value = exchange.head.get(HEADER) if exchange.head else None
    return None if value is None else parse_head(value)


async def _ask(
    options: CheckOptions, place: Place, query: BeaconQuery, model: str | None = None
) -> Exchange:
    request = request_for(options, place, model=model, query=format_query(query))
    config = with_timeout(client_for(options, place), min(_ANSWER_S, options.client.timeout_s))
    return await fetch_stream(request, config, hop=place.name, api=api_of(place).name)


def _json(exchange: Exchange) -> dict[str, object]:
    try:
        answer = json.loads(b"".join(arrival.data for arrival in exchange.arrivals))
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _whole(answer: dict[str, object], name: str) -> int:
    value = answer.get(name)
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise UndamError(f"the beacon's answer lacks a valid {name}")
    return value
