"""Load test as JSON lines: the record header, then one line per request.

Lines are written as requests end, so the record of a crashed run holds all but its last moments. A
last line that was cut is counted, and the rest of the record is still valid. Other damaged lines
are left out, and the loss is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from undam.errors import UsageError
from undam.json_values import (
    MAX_INT,
    require_array,
    require_bool,
    require_int,
    require_number,
    require_object,
    require_text,
)
from undam.record.damage import LINE_ERRORS, Damage
from undam.record.header import check_header, read_end
from undam.record.request_result import (
    INTEGRITY_FAULTS,
    ContentRead,
    IntegrityCounts,
    Outcome,
    RequestResult,
)
from undam.secrecy import redact_text

_INTS = ("number", "worker", "intended_ns", "ended_ns", "empties", "heartbeats", "body_bytes")
_OPTIONAL_INTS = ("started_ns", "head_ns", "status", "tokens")
_FLAGS = ("warmup", "stamped")
_ADDED_FLAGS = ("blurred",)
# Fields that are missing in records from earlier versions.
_ADDED_INTS = (
    "answer_ns", "prompt_tokens", "cached_tokens", "reasoning_tokens", "session", "turn",
)  # fmt: skip

# About 30 years; a larger value is invalid or malicious.
_MAX_RETRY_AFTER_S = 1e9


class LoadTestRecord(NamedTuple):
    """Recorded load test.

    Attributes:
        about: the legal fields of the header.
        results: the requests, in the order written.
        truncated_lines: number of cut lines at the end, 0 or 1.
        end: the legal fields of the last line; ``None`` if it is missing, because the run was
            killed.
        damage: lines and fields that could not be read and were left out.
    """

    about: dict[str, object]
    results: list[RequestResult]
    truncated_lines: int
    end: dict[str, Any] | None
    damage: Damage


def request_result_line(result: RequestResult, secrets: Iterable[str] = ()) -> str:
    """Return the line for one request, with a trailing newline.

    ``reads`` holds ``[at_ns - intended_ns, slack_ns, late_ns, events]`` of each read.

    Args:
        secrets: strings that must not appear. Everything that has the form of a secret is redacted
            anyway.
    """
    row = request_result_row(result, secrets)
    return json.dumps(row, separators=(",", ":")) + "\n"


def request_result_row(result: RequestResult, secrets: Iterable[str] = ()) -> dict[str, object]:
    """Return a request result as JSON data; see ``request_result_line``."""
    row: dict[str, object] = {"kind": "measured"}
    names = (*_INTS, *_OPTIONAL_INTS, *_FLAGS, *_ADDED_INTS)
    row |= {name: getattr(result, name) for name in names}
    row |= {name: True for name in _ADDED_FLAGS if getattr(result, name)}
    hidden = tuple(secrets)
    row |= {
        "outcome": result.outcome.value,
        # The field is not called "kind", because that name is used for the kind of line.
        "failure": redact_text(result.kind, hidden),
        "message": redact_text(result.message, hidden),
        "retry_after_s": result.retry_after_s,
        "reads": [[read.at_ns - result.intended_ns, *read[1:]] for read in result.reads],
    }
    if result.integrity is not None:
        row["integrity"] = _integrity_row(result.integrity, hidden)
    return row


def _integrity_row(counts: IntegrityCounts, hidden: Iterable[str]) -> dict[str, object]:
    first = {kind: redact_text(place, hidden) for kind, place in counts.first}
    return {"evidence": counts.evidence, "events": counts.events, **counts.faults, "first": first}


def read_request_results(lines: Iterable[str]) -> LoadTestRecord:
    """Return a recorded load test. Damaged lines and lines of unknown kinds are skipped.

    Raises:
        UsageError: the input is not a record, has another schema, or has no readable line after its
            header; the message names a line.
    """
    reader = _ResultReader(lines)
    reader.read()
    return LoadTestRecord(
        reader.about, reader.results, reader.truncated_lines, reader.end, reader.damage
    )


class _ResultReader:
    def __init__(self, lines: Iterable[str]) -> None:
        self.about: dict[str, object] = {}
        self.results: list[RequestResult] = []
        self.truncated_lines = 0
        self.end: dict[str, Any] | None = None
        self.damage = Damage()
        self._lines = iter(lines)
        self._number = 0

    def read(self) -> None:
        self._read_header()
        intact = 0
        while (text := self._next()) is not None:
            try:
                self._take(_row(text))
                intact += 1
            except LINE_ERRORS as error:
                number = self._number
                is_cut = isinstance(error, json.JSONDecodeError) and not text.endswith("\n")
                if is_cut and self._next() is None:
                    self.truncated_lines = 1
                    return
                self.damage.add(number, error)
        if self.damage.lines and not intact:
            raise UsageError(
                f"line {self.damage.first_line} is not a line of an undam record "
                f"({self.damage.reason}), and neither is any other"
            )

    def _read_header(self) -> None:
        text = self._next()
        if text is None:
            raise UsageError("the record is empty")
        try:
            self.about = check_header(_row(text), self.damage)
        except LINE_ERRORS as error:
            reason = f"{type(error).__name__}: {error}"[:120]
            raise UsageError(f"line 1 is not a line of an undam record ({reason})") from None

    def _take(self, row: dict[str, Any]) -> None:
        if row["kind"] == "measured":
            self.results.append(request_result_from(row))
        elif row["kind"] == "end":
            self.end = read_end(row, self.damage, self._number)

    def _next(self) -> str | None:
        text = next(self._lines, None)
        self._number += 1
        return text


def _row(text: str) -> dict[str, Any]:
    row = json.loads(text)
    if not isinstance(row, dict):
        raise TypeError("not an object")
    return row


def request_result_from(row: Mapping[str, Any]) -> RequestResult:
    """Return the request result from untrusted JSON data.

    Raises:
        ValueError, KeyError, TypeError: a value is missing, has another type or is out of range.
    """
    fields: dict[str, Any] = {name: require_int(row[name]) for name in _INTS}
    fields |= {
        name: None if row[name] is None else require_int(row[name]) for name in _OPTIONAL_INTS
    }
    fields |= {
        name: None if row.get(name) is None else require_int(row[name]) for name in _ADDED_INTS
    }
    fields |= {name: require_bool(row[name]) for name in _FLAGS}
    fields |= {name: require_bool(row.get(name, False)) for name in _ADDED_FLAGS}
    intended_ns = fields["intended_ns"]
    return RequestResult(
        **fields,
        outcome=Outcome(require_text(row["outcome"])),
        kind=require_text(row["failure"]),
        message=require_text(row["message"]),
        retry_after_s=_retry_after(row["retry_after_s"]),
        reads=tuple(_read(read, intended_ns) for read in require_array(row["reads"])),
        integrity=_integrity(row.get("integrity")),
    )


def _integrity(value: object) -> IntegrityCounts | None:
    if value is None:
        return None
    row = require_object(value)
    first = require_object(row["first"])
    return IntegrityCounts(
        require_text(row["evidence"]),
        require_int(row["events"]),
        **{kind: require_int(row.get(kind, 0)) for kind in INTEGRITY_FAULTS},
        first=tuple(
            (kind, require_text(first[kind])) for kind in INTEGRITY_FAULTS if kind in first
        ),
    )


def _read(value: object, intended_ns: int) -> ContentRead:
    after, slack, late, events = require_array(value)
    at = require_int(require_int(after, least=-MAX_INT) + intended_ns)
    return ContentRead(at, require_int(slack), require_int(late), require_int(events, least=1))


def _retry_after(value: object) -> float | None:
    if value is None:
        return None
    return require_number(value, least=0, most=_MAX_RETRY_AFTER_S)
