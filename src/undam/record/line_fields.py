"""What the lines of every record share: the header, redaction, and the types of their values.

A check raises TypeError or ValueError, which the readers turn into a refusal with the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from undam.record.redact import redact_text

SCHEMA = 1

MAX_INTEGER = (1 << 63) - 1
"""A larger number is no time, and would overflow the arithmetic of those who judge it."""


def redacted(value: object, secrets: tuple[str, ...]) -> object:
    """``value`` with every string in it redacted, before escaping can hide a secret's form."""
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, Mapping):
        return {redacted(key, secrets): redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, secrets) for item in value]
    return value


def header_line(about: Mapping[str, object], secrets: Iterable[str] = ()) -> str:
    """The first line of a record, with its newline.

    Args:
        about: command, versions, clock, host and whatever else tells how the record was made.
        secrets: strings that must not appear.
    """
    row = redacted({"schema": SCHEMA, "kind": "record", **about}, tuple(secrets))
    return json.dumps(row, ensure_ascii=True) + "\n"


def header(row: dict[str, object]) -> dict[str, object]:
    """``row``, which must be the first line of a record that this version can read."""
    if row["kind"] != "record" or integer(row["schema"]) != SCHEMA:
        raise ValueError(f"kind {row['kind']!r}, schema {row['schema']!r}")
    return row


def json_object(value: object) -> dict[str, object]:
    """``value``, which must be an object."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def string(value: object) -> str:
    """``value``, which must be text that can be shown and written again."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # half a surrogate pair could be neither
    return value


def integer(value: object, *, lowest: int = 0) -> int:
    """``value``, which must be an integer in the range of a clock."""
    if type(value) is not int or not lowest <= value <= MAX_INTEGER:
        raise TypeError(f"{value!r} is not an integer in the range of a clock")
    return value


def integer_or_none(value: object) -> int | None:
    """As ``integer``, or nothing."""
    return None if value is None else integer(value)
