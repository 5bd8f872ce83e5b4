"""The beacon: how a far end tells `check` when it meant to send what.

A beacon is a server that knows its own schedule (`undam sim`, `undam.asgi.Beacon`). Three things
make its answers exact:

- every event carries ``"undam": {"seq": 7, "due_ns": 1790000000000000000}``, the time at which it
  should have left, on the server's CLOCK_REALTIME;
- the response head carries ``Undam-Beacon: id=…; arrived=…; host=…``: a name for the exchange,
  when the request came, and a hash that is the same for all processes of one boot of one host;
- a request may carry ``Undam-Beacon``, too, with one of the questions below.

    clock                          answer at once with {"arrived_ns", "left_ns", "host"}
    closed; id=ID                  of an earlier exchange: {"known", "closed_ns", "finished"}
    schedule; silence_ms=3000; …   stream, with these values instead of the server's own

A schedule may carry an ``id``, too: the exchange then has that name, and can be asked about even if
its head never came. It is the asker's to make it unique.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from undam.errors import RemoteProtocolError

HEADER = "Undam-Beacon"
"""Name of the header, in both directions."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class BeaconHead:
    """What a beacon says in the response head."""

    id: str
    arrived_ns: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconSchedule:
    """A stream asked of a beacon; ``None`` leaves the beacon's own value.

    The stream is ``before`` events ``gap_ms`` apart, then ``silence_ms`` without any event, then
    ``after`` events, then the API's proper end. ``heartbeat_ms`` counts from the last write; 0 is
    none.
    """

    ttft_ms: int | None = None
    gap_ms: int | None = None
    before: int | None = None
    silence_ms: int | None = None
    after: int | None = None
    heartbeat_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BeaconQuestion:
    """What a request asks of a beacon beside its ordinary meaning."""

    kind: str
    id: str = ""
    schedule: BeaconSchedule = BeaconSchedule()


@dataclass(frozen=True, slots=True)
class Due:
    """When event ``seq`` (from 0, in one stream) should have left its origin."""

    seq: int
    due_ns: int


def format_head(head: BeaconHead) -> str:
    """The value of the response header."""
    return f"id={head.id}; arrived={head.arrived_ns}; host={head.host}"


def parse_head(value: str) -> BeaconHead | None:
    """Read a response header's value; ``None`` when it is not one."""
    pairs = _pairs(value.split(";"))
    ident, arrived, host = pairs.get("id", ""), pairs.get("arrived", ""), pairs.get("host", "")
    if not (_ID.fullmatch(ident) and _ID.fullmatch(host)) or not _digits(arrived):
        return None
    return BeaconHead(ident, int(arrived), host)


def format_question(question: BeaconQuestion) -> str:
    """The value of the request header."""
    parts = [question.kind]
    if question.id:
        parts.append(f"id={question.id}")
    for field in fields(BeaconSchedule):
        value = getattr(question.schedule, field.name)
        if value is not None:
            parts.append(f"{field.name}={value}")
    return "; ".join(parts)


def parse_question(value: str) -> BeaconQuestion:
    """Read a request header's value.

    Raises:
        RemoteProtocolError: an unknown question, or a value that is no number.
    """
    kind, *rest = value.split(";")
    kind, pairs = kind.strip(), _pairs(rest)
    if kind not in {"clock", "closed", "schedule"}:
        raise RemoteProtocolError(f"{HEADER}: unknown question {kind[:40]!r}")
    ident = pairs.pop("id", "")
    if (ident or kind == "closed") and not _ID.fullmatch(ident):
        raise RemoteProtocolError(f"{HEADER}: {kind!r} needs an id")
    values: dict[str, int] = {}
    known = {field.name for field in fields(BeaconSchedule)}
    for name, text in pairs.items():
        if name not in known or not _digits(text):
            raise RemoteProtocolError(f"{HEADER}: cannot use {name[:40]}={text[:40]!r}")
        values[name] = int(text)
    return BeaconQuestion(kind, ident, BeaconSchedule(**values))


def due_of(payload: object) -> Due | None:
    """The beacon stamp of one event's JSON payload, if it is there and whole."""
    stamp = payload.get("undam") if isinstance(payload, Mapping) else None
    if not isinstance(stamp, Mapping):
        return None
    seq, due_ns = stamp.get("seq"), stamp.get("due_ns")
    if type(seq) is not int or type(due_ns) is not int or seq < 0:
        return None
    return Due(seq, due_ns)


def _pairs(parts: list[str]) -> dict[str, str]:
    split = (part.partition("=") for part in parts if part.strip())
    return {name.strip(): value.strip() for name, _, value in split}


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
