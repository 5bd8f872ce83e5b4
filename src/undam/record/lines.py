"""A record: exchanges as JSON lines, so that what was seen once can be judged many times.

The first line is the header, ``{"schema": 1, "kind": "record", …}``. Then each exchange is one
line ``exchange``, a line ``arrival`` for each read, and one line ``end``. Secrets are taken out
before anything is written; request headers and bodies are not written at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping

from undam.errors import UsageError
from undam.record.exchange import Ending, Exchange, Head, Stamps
from undam.record.redact import redact_headers, redact_text, redact_url
from undam.timing import Arrival

SCHEMA = 1
_STAMPS = ("start_ns", "dns_ns", "connect_ns", "proxy_ns", "tls_ns", "sent_ns", "head_ns")


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
        return json.dumps(_cleaned(value, hidden), ensure_ascii=True) + "\n"

    yield line({"schema": SCHEMA, "kind": "record", **about})
    for number, exchange in enumerate(exchanges):
        yield line(_start(number, exchange))
        for arrival in exchange.arrivals:
            yield line(_arrival(number, arrival))
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


def _cleaned(value: object, secrets: tuple[str, ...]) -> object:
    """``value`` with every string in it redacted, before escaping can hide a secret's form."""
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, Mapping):
        return {key: _cleaned(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, secrets) for item in value]
    return value


def _start(number: int, exchange: Exchange) -> dict[str, object]:
    head = exchange.head
    return {
        "kind": "exchange",
        "exchange": number,
        "hop": exchange.hop,
        "url": redact_url(exchange.url),
        "api": exchange.api,
        "clock": exchange.clock,
        "stamps": {name: getattr(exchange.stamps, name) for name in _STAMPS},
        "head": None
        if head is None
        else {
            "status": head.status,
            "http_version": head.http_version,
            "headers": [list(pair) for pair in redact_headers(head.headers)],
        },
    }


def _arrival(number: int, arrival: Arrival) -> dict[str, object]:
    row: dict[str, object] = {"kind": "arrival", "exchange": number, "at_ns": arrival.at_ns}
    if arrival.late_ns:
        row["late_ns"] = arrival.late_ns
    if arrival.wire_bytes is not None:
        row["wire_bytes"] = arrival.wire_bytes
    try:
        row["text"] = arrival.data.decode()
    except UnicodeDecodeError:
        row["base64"] = base64.b64encode(arrival.data).decode()
    return row


def read_record(lines: Iterable[str]) -> tuple[dict[str, object], list[Exchange]]:
    """The header and the exchanges of a record.

    Raises:
        UsageError: not a record, another schema, or a damaged line; names the line.
    """
    about: dict[str, object] | None = None
    open_: dict[int, tuple[dict[str, object], list[Arrival]]] = {}
    done: list[Exchange] = []
    for number, text in enumerate(lines, 1):
        try:
            row = json.loads(text)
            if about is None:
                about = _header(row)
            elif row["kind"] == "exchange":
                open_[row["exchange"]] = (row, [])
            elif row["kind"] == "arrival":
                open_[row["exchange"]][1].append(_read_arrival(row))
            elif row["kind"] == "end":
                done.append(_read_exchange(*open_.pop(row["exchange"]), row))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            said = f"{type(error).__name__}: {error}"[:120]
            raise UsageError(f"line {number} is not a line of an undam record ({said})") from None
    if about is None:
        raise UsageError("the record is empty")
    return about, done


def _header(row: dict[str, object]) -> dict[str, object]:
    if row["kind"] != "record" or row["schema"] != SCHEMA:
        raise ValueError(f"kind {row['kind']!r}, schema {row['schema']!r}")
    return row


def _read_arrival(row: dict[str, object]) -> Arrival:
    if "text" in row:
        data = str(row["text"]).encode()
    else:
        data = base64.b64decode(str(row["base64"]), validate=True)
    wire = row.get("wire_bytes")
    return Arrival(
        _whole(row["at_ns"]),
        data,
        _whole(row.get("late_ns", 0)),
        None if wire is None else _whole(wire),
    )


def _read_exchange(
    row: dict[str, object], arrivals: list[Arrival], end: dict[str, object]
) -> Exchange:
    stamps, head, error = row["stamps"], row["head"], end["error"]
    if not isinstance(stamps, dict):
        raise TypeError("stamps is no object")
    return Exchange(
        hop=str(row["hop"]),
        url=str(row["url"]),
        api=str(row["api"]),
        stamps=Stamps(**{name: stamps[name] for name in _STAMPS}),
        head=_read_head(head) if isinstance(head, dict) else None,
        arrivals=tuple(arrivals),
        ending=Ending(str(end["ending"])),
        ended_ns=_whole(end["at_ns"]),
        clock=str(row["clock"]),
        step_ns=_whole(end["step_ns"]),
        error=None if error is None else str(error),
    )


def _read_head(row: dict[str, object]) -> Head:
    headers = row["headers"]
    if not isinstance(headers, list):
        raise TypeError("headers is no array")
    return Head(
        _whole(row["status"]),
        str(row["http_version"]),
        tuple((str(name), str(value)) for name, value in headers),
    )


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value
