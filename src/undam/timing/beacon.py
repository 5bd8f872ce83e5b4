"""Beacon protocol, by which a server reports the due time of each event.

A beacon is a server that knows its own schedule (`undam sim`, `undam.asgi.Beacon`), so that `check`
can compute exact holds:

- Every event carries ``"undam": {"seq": 7, "due_ns": 1790000000000000000}``, its due time on the
  server's CLOCK_REALTIME.
- The response head carries ``Undam-Beacon: id=…; arrived=…; host=…``: an ID of the exchange, the
  arrival of the request, and a hash that is the same for all processes of one boot of one host.
- A request can carry ``Undam-Beacon`` with one of these queries:

    clock                          respond at once with {"arrived_ns", "left_ns", "host"}
    closed; id=ID                  respond with {"known", "closed_ns", "finished"} of that exchange
    schedule; silence_ms=3000; …   stream with these values instead of the server's own

A schedule can carry an ``id``. The exchange then has this ID, and can be queried even if its
response head did not arrive. The client has to choose a unique ID.

With ``numbered=1``, the text of the events consists of numbered pieces with checksums, and some
events and characters are divided between two writes (`undam.timing.numbered_text`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from undam.errors import RemoteProtocolError
from undam.json_values import MAX_INT

HEADER = "Undam-Beacon"
"""Name of the header, in both directions."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class BeaconHead:
    """Beacon header in a response."""

    id: str
    arrived_ns: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconSchedule:
    """Stream that a client requests from a beacon; for ``None``, the beacon uses its default.

    The stream has ``before`` events ``gap_ms`` apart, then ``silence_ms`` without events, then
    ``after`` events and the regular end of the API. ``heartbeat_ms`` counts from the last write; 0
    disables heartbeats. ``numbered`` is 1 for a text of numbered pieces.
    """

    ttft_ms: int | None = None
    gap_ms: int | None = None
    before: int | None = None
    silence_ms: int | None = None
    after: int | None = None
    heartbeat_ms: int | None = None
    numbered: int | None = None


@dataclass(frozen=True, slots=True)
class BeaconQuery:
    """Beacon header in a request."""

    kind: str
    id: str = ""
    schedule: BeaconSchedule = BeaconSchedule()


@dataclass(frozen=True, slots=True)
class Due:
    """Due time of event ``seq`` at its origin; ``seq`` counts from 0 in each stream."""

    seq: int
    due_ns: int


def format_head(head: BeaconHead) -> str:
    """Return the value for the response header."""
    return f"id={head.id}; arrived={head.arrived_ns}; host={head.host}"


def parse_head(value: str) -> BeaconHead | None:
    """Parse the response header's value; return ``None`` if it is malformed."""
    pairs = _pairs(value.split(";"))
    ident, arrived, host = pairs.get("id", ""), pairs.get("arrived", ""), pairs.get("host", "")
    if not (_ID.fullmatch(ident) and _ID.fullmatch(host)) or not _digits(arrived):
        return None
    return BeaconHead(ident, int(arrived), host)


def format_query(query: BeaconQuery) -> str:
    """Return the value for the request header."""
    parts = [query.kind]
    if query.id:
        parts.append(f"id={query.id}")
    for field in fields(BeaconSchedule):
        value = getattr(query.schedule, field.name)
        if value is not None:
            parts.append(f"{field.name}={value}")
    return "; ".join(parts)


def parse_query(value: str) -> BeaconQuery:
    """Parse the request header's value.

    Raises:
        RemoteProtocolError: the query is unknown or malformed.
    """
    kind, *rest = value.split(";")
    kind, pairs = kind.strip(), _pairs(rest)
    if kind not in {"clock", "closed", "schedule"}:
        raise RemoteProtocolError(f"{HEADER}: unknown query {kind[:40]!r}")
    ident = pairs.pop("id", "")
    if (ident or kind == "closed") and not _ID.fullmatch(ident):
        raise RemoteProtocolError(f"{HEADER}: {kind!r} needs an id")
    values: dict[str, int] = {}
    known = {field.name for field in fields(BeaconSchedule)}
    for name, text in pairs.items():
        if name not in known or not _digits(text):
            raise RemoteProtocolError(f"{HEADER}: invalid value {name[:40]}={text[:40]!r}")
        values[name] = int(text)
    return BeaconQuery(kind, ident, BeaconSchedule(**values))


def due_of(payload: object) -> Due | None:
    """Return the due time from an event's JSON payload; ``None`` if it is missing or malformed."""
    stamp = payload.get("undam") if isinstance(payload, Mapping) else None
    if not isinstance(stamp, Mapping):
        return None
    seq, due_ns = stamp.get("seq"), stamp.get("due_ns")
    if type(seq) is not int or type(due_ns) is not int:
        return None
    if not (0 <= seq <= MAX_INT and 0 <= due_ns <= MAX_INT):
        return None
    return Due(seq, due_ns)


def _pairs(parts: list[str]) -> dict[str, str]:
    split = (part.partition("=") for part in parts if part.strip())
    return {name.strip(): value.strip() for name, _, value in split}


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= MAX_INT
