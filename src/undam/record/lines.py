"""A record: exchanges as JSON lines, so that what was seen once can be judged many times.

The first line is the header, ``{"schema": 1, "kind": "record", …}``. Then each exchange is one
line ``exchange``, a line ``arrival`` for each read, and one line ``end``. Secrets are taken out
before anything is written; request headers and bodies are not written at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from undam.apis import APIS
from undam.errors import UsageError
from undam.record.exchange import Ending, Exchange, Head, Stamps
from undam.record.line_fields import (
    MAX_INTEGER,
    header,
    header_line,
    integer,
    integer_or_none,
    json_object,
    redacted,
    string,
)
from undam.record.redact import redact_body, redact_headers, redact_url
from undam.timing import Arrival

_STAMPS = ("dns_ns", "connect_ns", "proxy_ns", "tls_ns", "sent_ns", "head_ns")


def record_lines(
    exchanges: Iterable[Exchange], about: Mapping[str, object], secrets: Iterable[str] = ()
) -> Iterator[str]:
    """The lines of a record, each with its newline.

    Args:
        about: versions, command, host and clock, for the header.
        secrets: strings that must not appear anywhere.
    """
    hidden = tuple(secrets)

    def line(value: Mapping[str, object]) -> str:
        return json.dumps(redacted(value, hidden), ensure_ascii=True) + "\n"

    yield header_line(about, hidden)
    for number, exchange in enumerate(exchanges):
        yield line(_start(number, exchange))
        bodies = redact_body([arrival.data for arrival in exchange.arrivals], hidden)
        for arrival, body in zip(exchange.arrivals, bodies, strict=True):
            yield json.dumps(_arrival(number, arrival, body)) + "\n"
        yield line(
            {
                "kind": "end",
                "exchange": number,
                "ending": exchange.ending.value,
                "at_ns": exchange.ended_ns,
                "error": exchange.error,
                "step_ns": exchange.step_ns,
            }
        )


def _start(number: int, exchange: Exchange) -> dict[str, object]:
    head = exchange.head
    return {
        "kind": "exchange",
        "exchange": number,
        "hop": exchange.hop,
        "url": redact_url(exchange.url),
        "api": exchange.api,
        "clock": exchange.clock,
        "stamps": {name: getattr(exchange.stamps, name) for name in ("start_ns", *_STAMPS)},
        "head": None
        if head is None
        else {
            "status": head.status,
            "http_version": head.http_version,
            "headers": [list(pair) for pair in redact_headers(head.headers)],
        },
    }


def _arrival(number: int, arrival: Arrival, body: bytes) -> dict[str, object]:
    row: dict[str, object] = {"kind": "arrival", "exchange": number, "at_ns": arrival.at_ns}
    if arrival.late_ns:
        row["late_ns"] = arrival.late_ns
    if arrival.wire_bytes is not None:
        row["wire_bytes"] = arrival.wire_bytes
    try:
        row["text"] = body.decode()
    except UnicodeDecodeError:
        row["base64"] = base64.b64encode(body).decode()
    return row


def read_record(lines: Iterable[str]) -> tuple[dict[str, object], list[Exchange]]:
    """The header and the exchanges of a record.

    Raises:
        UsageError: not a record, another schema, or a damaged or missing line; names the line.
    """
    about: dict[str, object] | None = None
    open_: dict[int, _Open] = {}
    done: list[Exchange] = []
    number = 0
    try:
        for number, text in enumerate(lines, 1):  # noqa: B007 (the errors tell it)
            row = json.loads(text)
            if not isinstance(row, dict):
                raise TypeError("no object")
            if about is None:
                about = header(row)
            else:
                _take(row, open_, done)
    except UnicodeDecodeError:
        raise UsageError(f"line {number + 1} is no UTF-8 text, so no undam record") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = f"{type(error).__name__}: {error}"[:120]
        raise UsageError(f"line {number} is not a line of an undam record ({said})") from None
    if about is None:
        raise UsageError("the record is empty")
    if open_:
        raise UsageError(f"line {number} is the last, and exchange {min(open_)} has no end")
    return about, done


_Open = tuple[dict[str, Any], list[Arrival]]


def _take(row: dict[str, object], open_: dict[int, _Open], done: list[Exchange]) -> None:
    """Add one line; kinds that a later version may write are passed over."""
    kind = row["kind"]
    if kind not in {"exchange", "arrival", "end"}:
        return
    number = integer(row["exchange"])
    if kind == "exchange":
        if number in open_:
            raise ValueError(f"exchange {number} begins twice")
        open_[number] = (_read_start(row), [])
    elif kind == "arrival":
        open_[number][1].append(_read_arrival(row))
    else:
        start, arrivals = open_.pop(number)
        done.append(_read_exchange(start, arrivals, row))


def _read_arrival(row: dict[str, object]) -> Arrival:
    if "text" in row:
        data = string(row["text"]).encode()
    else:
        data = base64.b64decode(string(row["base64"]), validate=True)
    return Arrival(
        integer(row["at_ns"]),
        data,
        integer(row.get("late_ns", 0)),
        integer_or_none(row.get("wire_bytes")),
    )


def _read_start(row: dict[str, object]) -> dict[str, Any]:
    """The arguments of ``Exchange`` that its first line tells."""
    api = string(row["api"])
    if api not in {one.name for one in APIS}:
        raise ValueError(f"unknown API {api!r}")
    stamps = json_object(row["stamps"])
    others = {name: integer_or_none(stamps[name]) for name in _STAMPS}
    return {
        "hop": string(row["hop"]),
        "url": string(row["url"]),
        "api": api,
        "stamps": Stamps(start_ns=integer(stamps["start_ns"]), **others),
        "head": None if row["head"] is None else _read_head(json_object(row["head"])),
        "clock": string(row["clock"]),
    }


def _read_exchange(
    start: dict[str, Any], arrivals: list[Arrival], end: dict[str, object]
) -> Exchange:
    return Exchange(
        **start,
        arrivals=tuple(arrivals),
        ending=Ending(string(end["ending"])),
        ended_ns=integer(end["at_ns"]),
        step_ns=integer(end["step_ns"], lowest=-MAX_INTEGER),
        error=None if end["error"] is None else string(end["error"]),
    )


def _read_head(row: dict[str, object]) -> Head:
    headers = row["headers"]
    if not isinstance(headers, list):
        raise TypeError("headers is no array")
    return Head(
        integer(row["status"]),
        string(row["http_version"]),
        tuple((string(name), string(value)) for name, value in headers),
    )
