"""First line of every record: its kind, its schema and how it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from undam.json_values import require_int
from undam.record.redact import redact_value

SCHEMA = 1


def header_line(about: Mapping[str, object], secrets: Iterable[str] = ()) -> str:
    """Return the first line of a record, with its newline.

    Args:
        about: how the record was made: command, versions, clock, host and settings.
        secrets: strings that must not appear.
    """
    row = redact_value({"schema": SCHEMA, "kind": "record", **about}, tuple(secrets))
    return json.dumps(row, ensure_ascii=True) + "\n"


def check_header(row: dict[str, object]) -> dict[str, object]:
    """Return ``row``, which must be the header of a record that this version can read."""
    if row["kind"] != "record" or require_int(row["schema"]) != SCHEMA:
        raise ValueError(f"kind {row['kind']!r}, schema {row['schema']!r}")
    return row
