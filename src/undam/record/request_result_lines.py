"""A load test as JSON lines: the header of every record, then a line ``measured`` per request.

Lines are written as requests end, so a run that crashed leaves a record of all but its last
moments. Its last line may be cut; that is told, and no reason to refuse the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any, NamedTuple

from undam.errors import UsageError
from undam.record.line_fields import MAX_INTEGER, header, integer, integer_or_none, string
from undam.record.redact import redact_text
from undam.record.request_result import ContentRead, Outcome, RequestResult

_WHOLE = ("number", "worker", "intended_ns", "ended_ns", "empties", "heartbeats", "body_bytes")
_WHOLE_OR_NONE = ("started_ns", "head_ns", "status", "tokens")
_FLAGS = ("warmup", "stamped")

# A server cannot ask for more in earnest, and no clock could wait for it.
_LONGEST_WAIT_S = 1e9


class LoadTestRecord(NamedTuple):
    """A load test as it was recorded.

    Attributes:
        about: the header.
        measured: the requests, in the order written.
        lost: lines at the end that were cut; 0 or 1.
    """

    about: dict[str, object]
    measured: list[RequestResult]
    lost: int


def request_result_line(one: RequestResult, secrets: Iterable[str] = ()) -> str:
    """The line of one request, with its newline.

    ``reads`` holds ``[at_ns - intended_ns, slack_ns, late_ns, events]`` of each read.

    Args:
        secrets: strings that must not appear; what has the form of one is hidden anyway.
    """
    row: dict[str, object] = {"kind": "measured"}
    row |= {name: getattr(one, name) for name in (*_WHOLE, *_WHOLE_OR_NONE, *_FLAGS)}
    hidden = tuple(secrets)
    row |= {
        "outcome": one.outcome.value,
        # "kind" is the line's own.
        "failure": redact_text(one.kind, hidden),
        "message": redact_text(one.message, hidden),
        "retry_after_s": one.retry_after_s,
        "reads": [[read.at_ns - one.intended_ns, *read[1:]] for read in one.reads],
    }
    return json.dumps(row, separators=(",", ":")) + "\n"


def read_request_results(lines: Iterable[str]) -> LoadTestRecord:
    """The header and the requests of a record; lines of other kinds are passed over.

    Raises:
        UsageError: not a record, another schema, or a damaged line that is not the last; names
            the line.
    """
    reader = _Reader(lines)
    about = reader.about()
    return LoadTestRecord(about, list(reader), reader.lost)


class _Reader:
    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self.lost = 0

    def about(self) -> dict[str, object]:
        text = self._next()
        if text is None:
            raise UsageError("the record is empty")
        try:
            return header(_row(text))
        except _DAMAGE as error:
            raise self._refused(error) from None

    def __iter__(self) -> Iterator[RequestResult]:
        while (text := self._next()) is not None:
            try:
                one = _measured(_row(text))
            except _DAMAGE as error:
                refused = self._refused(error)
                if isinstance(error, json.JSONDecodeError) and self._next() is None:
                    self.lost = 1
                    return
                raise refused from None
            if one is not None:
                yield one

    def _next(self) -> str | None:
        try:
            text = next(self._lines, None)
        except UnicodeDecodeError:
            number = self._number + 1
            raise UsageError(f"line {number} is no UTF-8 text, so no undam record") from None
        self._number += 1
        return text

    def _refused(self, error: Exception) -> UsageError:
        said = f"{type(error).__name__}: {error}"[:120]
        return UsageError(f"line {self._number} is not a line of an undam record ({said})")


_DAMAGE = (ValueError, KeyError, TypeError, RecursionError)


def _row(text: str) -> dict[str, Any]:
    row = json.loads(text)
    if not isinstance(row, dict):
        raise TypeError("no object")
    return row


def _measured(row: dict[str, Any]) -> RequestResult | None:
    if row["kind"] != "measured":
        return None
    known: dict[str, Any] = {name: integer(row[name]) for name in _WHOLE}
    known |= {name: integer_or_none(row[name]) for name in _WHOLE_OR_NONE}
    known |= {name: _flag(row[name]) for name in _FLAGS}
    begun = known["intended_ns"]
    return RequestResult(
        **known,
        outcome=Outcome(string(row["outcome"])),
        kind=string(row["failure"]),
        message=string(row["message"]),
        retry_after_s=_seconds(row["retry_after_s"]),
        reads=tuple(_read(read, begun) for read in row["reads"]),
    )


def _read(value: object, begun_ns: int) -> ContentRead:
    if not isinstance(value, list):
        raise TypeError("a read is no array")
    after, slack, late, events = value
    at = integer(integer(after, lowest=-MAX_INTEGER) + begun_ns)
    return ContentRead(at, integer(slack), integer(late), integer(events, lowest=1))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    if not (isfinite(value) and 0 <= value <= _LONGEST_WAIT_S):
        raise ValueError(f"{value!r} is no time to wait")
    return value
