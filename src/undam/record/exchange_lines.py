"""Exchanges as JSON lines, to be re-analyzed later.

The first line is the header, ``{"schema": 1, "kind": "record", …}``. Each exchange is one line of
kind ``exchange``, one ``arrival`` per read, and one ``end``. Secrets are redacted before writing;
request headers and bodies are not written at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from undam.apis import APIS
from undam.errors import UsageError
from undam.json_values import MAX_INT, require_array, require_int, require_object, require_text
from undam.record.exchange import Ending, Exchange, Head, Stamps
from undam.record.header import check_header, header_line
from undam.record.redact import redact_body, redact_headers, redact_url, redact_value
from undam.timing import Arrival

_STAMPS = ("dns_ns", "connect_ns", "proxy_ns", "tls_ns", "sent_ns", "head_ns")


def record_lines(
    exchanges: Iterable[Exchange], about: Mapping[str, object], secrets: Iterable[str] = ()
) -> Iterator[str]:
    """Yield the lines of a record, each with its newline.

    Args:
        about: versions, command, host and clock for the header.
        secrets: strings that must not appear in any line.
    """
    hidden = tuple(secrets)

    def line(value: Mapping[str, object]) -> str:
        return json.dumps(redact_value(value, hidden), ensure_ascii=True) + "\n"

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
        "proxy": exchange.proxy,
        "tls_issuer": exchange.tls_issuer,
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
    """Return the header and the exchanges of a record.

    Raises:
        UsageError: the input is not a record, or has another schema, or a damaged or missing line;
            the message names the line.
    """
    about: dict[str, object] | None = None
    open_: dict[int, _Open] = {}
    done: list[Exchange] = []
    number = 0
    try:
        for number, text in enumerate(lines, 1):  # noqa: B007 (the errors name it)
            row = json.loads(text)
            if not isinstance(row, dict):
                raise TypeError("not an object")
            if about is None:
                about = check_header(row)
            else:
                _take(row, open_, done)
    except UnicodeDecodeError:
        raise UsageError(
            f"line {number + 1} is not UTF-8, so this is not an undam record"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise UsageError(f"line {number} is not a line of an undam record ({reason})") from None
    if about is None:
        raise UsageError("the record is empty")
    if open_:
        raise UsageError(f"the record ends at line {number}, but exchange {min(open_)} has no end")
    return about, done


_Open = tuple[dict[str, Any], list[Arrival]]


def _take(row: dict[str, object], open_: dict[int, _Open], done: list[Exchange]) -> None:
    """Add one line; lines of an unknown kind (from a later version) are skipped."""
    kind = row["kind"]
    if kind not in {"exchange", "arrival", "end"}:
        return
    number = require_int(row["exchange"])
    if kind == "exchange":
        if number in open_:
            raise ValueError(f"exchange {number} starts twice")
        open_[number] = (_read_start(row), [])
    elif kind == "arrival":
        open_[number][1].append(_read_arrival(row))
    else:
        start, arrivals = open_.pop(number)
        done.append(_read_exchange(start, arrivals, row))


def _read_arrival(row: dict[str, object]) -> Arrival:
    if "text" in row:
        data = require_text(row["text"]).encode()
    else:
        data = base64.b64decode(require_text(row["base64"]), validate=True)
    return Arrival(
        require_int(row["at_ns"]),
        data,
        require_int(row.get("late_ns", 0)),
        _int_or_none(row.get("wire_bytes")),
    )


def _read_start(row: dict[str, object]) -> dict[str, Any]:
    """Return the arguments of ``Exchange`` that its first line holds."""
    api = require_text(row["api"])
    if api not in {one.name for one in APIS}:
        raise ValueError(f"unknown API {api!r}")
    stamps = require_object(row["stamps"])
    others = {name: _int_or_none(stamps[name]) for name in _STAMPS}
    return {
        "hop": require_text(row["hop"]),
        "url": require_text(row["url"]),
        "api": api,
        "stamps": Stamps(start_ns=require_int(stamps["start_ns"]), **others),
        "head": None if row["head"] is None else _read_head(require_object(row["head"])),
        "clock": require_text(row["clock"]),
        "proxy": _text_or_none(row.get("proxy")),
        "tls_issuer": _text_or_none(row.get("tls_issuer")),
    }


def _read_exchange(
    start: dict[str, Any], arrivals: list[Arrival], end: dict[str, object]
) -> Exchange:
    return Exchange(
        **start,
        arrivals=tuple(arrivals),
        ending=Ending(require_text(end["ending"])),
        ended_ns=require_int(end["at_ns"]),
        step_ns=require_int(end["step_ns"], least=-MAX_INT),
        error=None if end["error"] is None else require_text(end["error"]),
    )


def _read_head(row: dict[str, object]) -> Head:
    pairs = (require_array(pair) for pair in require_array(row["headers"]))
    return Head(
        require_int(row["status"]),
        require_text(row["http_version"]),
        tuple((require_text(name), require_text(value)) for name, value in pairs),
    )


def _int_or_none(value: object) -> int | None:
    return None if value is None else require_int(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else require_text(value)
