"""Exchanges as JSON lines, for later re-analysis.

The first line is the header, ``{"schema": 1, "kind": "record", …}``. Each exchange is one line of
kind ``exchange``, one ``arrival`` per read, and one ``end``. Secrets are redacted before writing;
request headers and bodies are not written at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from undam.apis import APIS
from undam.errors import UsageError
from undam.json_values import MAX_INT, require_array, require_int, require_object, require_text
from undam.record.damage import LINE_ERRORS, Damage
from undam.record.exchange import Ending, Exchange, Head, Http2Facts, Stamps
from undam.record.header import check_header, header_line
from undam.secrecy import redact_body, redact_headers, redact_url, redact_value
from undam.timing import Arrival
from undam.work_budget import MAX_RECORD_BYTES, MAX_RECORD_ITEMS

_STAMPS = ("dns_ns", "connect_ns", "proxy_ns", "tls_ns", "sent_ns", "head_ns")


def record_lines(
    exchanges: Iterable[Exchange], about: Mapping[str, object], secrets: Iterable[str] = ()
) -> Iterator[str]:
    """Yield the lines of a record, each with a trailing newline.

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
                **({} if exchange.http2 is None else {"http2": asdict(exchange.http2)}),
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
        "tls_expires_s": exchange.tls_expires_s,
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


class CheckRecord(NamedTuple):
    """Recorded exchanges.

    Attributes:
        about: the legal fields of the header.
        exchanges: in the order in which they ended.
        damage: lines and fields that could not be read.
    """

    about: dict[str, object]
    exchanges: list[Exchange]
    damage: Damage


def read_record(lines: Iterable[str]) -> tuple[dict[str, object], list[Exchange]]:
    """Return the header and exchanges of a record; see ``read_check_record``."""
    return read_check_record(lines)[:2]


def read_check_record(lines: Iterable[str]) -> CheckRecord:
    """Return the exchanges in a record, as far as they can be read.

    An exchange ends at its first damaged or missing line, with the ending ``LIMIT``: what follows a
    gap in a body cannot be parsed. The same applies at the size limits of a run.

    Raises:
        UsageError: the input is not a record, has another schema, or no exchange can be read; the
            message names a line.
    """
    reader = _ExchangeReader()
    for number, text in enumerate(lines, 1):
        reader.receive(number, text)
    return reader.finish()


class _OpenExchange:
    """An exchange that is still being read from a record."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.arrivals: list[Arrival] = []

    def cut(self, reason: str) -> Exchange:
        """Return the exchange as it stands after the last line that was read."""
        stamps: Stamps = self.start["stamps"]
        return Exchange(
            **self.start,
            arrivals=tuple(self.arrivals),
            ending=Ending.LIMIT,
            ended_ns=self.arrivals[-1].at_ns if self.arrivals else stamps.start_ns,
            error=reason,
        )


class _ExchangeReader:
    def __init__(self) -> None:
        self._about: dict[str, object] | None = None
        self._damage = Damage()
        self._open: dict[int, _OpenExchange] = {}
        self._cut: set[int] = set()
        self._done: list[Exchange] = []
        self._last = 0
        self._left_bytes = MAX_RECORD_BYTES
        self._left_reads = MAX_RECORD_ITEMS

    def receive(self, number: int, text: str) -> None:
        self._last = number
        row: dict[str, Any] = {}
        try:
            row = require_object(json.loads(text))
            if self._about is None:
                self._about = check_header(row, self._damage)
            else:
                self._take(row)
        except LINE_ERRORS as error:
            if self._about is None:
                reason = f"{type(error).__name__}: {error}"[:120]
                raise UsageError(
                    f"line {number} is not a line of an undam record ({reason})"
                ) from None
            self._damage.add(number, error)
            self._cut_at(row.get("exchange"), f"line {number} of the record is damaged")

    def finish(self) -> CheckRecord:
        if self._about is None:
            raise UsageError("the record is empty")
        if self._open:
            missing = ValueError(f"exchange {min(self._open)} has no end")
            self._damage.add(self._last + 1, missing)
            self._cut_at(None, f"the record ends at line {self._last}, within this exchange")
        if self._damage.lines and not any(one.arrivals or one.head for one in self._done):
            raise UsageError(
                f"no exchange in the record can be read; line {self._damage.first_line} is damaged "
                f"({self._damage.reason})"
            )
        return CheckRecord(self._about, self._done, self._damage)

    def _take(self, row: dict[str, object]) -> None:
        """Add one line. Lines of an unknown kind, from later versions, are skipped."""
        kind = row["kind"]
        if kind not in {"exchange", "arrival", "end"}:
            return
        number = require_int(row["exchange"])
        if kind == "exchange":
            if number in self._open:
                raise ValueError(f"exchange {number} starts twice")
            self._cut.discard(number)
            self._open[number] = _OpenExchange(_read_start(row))
        elif number in self._cut:
            raise ValueError(f"a damaged line precedes this line of exchange {number}")
        elif kind == "arrival":
            self._add(number, _read_arrival(row))
        else:
            one = self._open[number]
            self._done.append(_read_exchange(one.start, one.arrivals, row))
            del self._open[number]

    def _add(self, number: int, arrival: Arrival) -> None:
        one = self._open[number]
        self._left_bytes -= len(arrival.data)
        self._left_reads -= 1
        if self._left_bytes < 0 or self._left_reads < 0:
            raise ValueError("the bodies in the record exceed the size limit")
        one.arrivals.append(arrival)

    def _cut_at(self, number: object, reason: str) -> None:
        """End one exchange; if the line does not name an exchange, end all open ones."""
        for one in list(self._open):
            if type(number) is not int or number == one:
                self._done.append(self._open.pop(one).cut(reason))
                self._cut.add(one)


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
    """Return the arguments for ``Exchange`` from the first line of an exchange."""
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
        "tls_expires_s": _int_or_none(row.get("tls_expires_s")),
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
        http2=_read_http2(end.get("http2")),
    )


def _read_http2(row: object) -> Http2Facts | None:
    if row is None:
        return None
    facts = require_object(row)
    codes = {name: facts.get(name) for name in ("reset", "goaway")}
    return Http2Facts(
        **{name: None if code is None else require_text(code) for name, code in codes.items()},
        send_stall_ns=require_int(facts.get("send_stall_ns", 0)),
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
