"""First and last line of a record: how it was made, and how the load test ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from undam.json_values import (
    legal_value,
    require_array,
    require_bool,
    require_int,
    require_number,
    require_object,
    require_text,
)
from undam.record.damage import LINE_ERRORS, Damage
from undam.secrecy import redact_value

SCHEMA = 1

_MAX_WORKERS = 100_000
# About 30 years; a larger value is invalid or malicious.
_MAX_SECONDS = 1e9


def header_line(about: Mapping[str, object], secrets: Iterable[str] = ()) -> str:
    """Return the first line of a record, with a trailing newline.

    Args:
        about: how the record was made: command, versions, clock, host and settings.
        secrets: strings that must not appear.
    """
    row = redact_value({"schema": SCHEMA, "kind": "record", **about}, tuple(secrets))
    return json.dumps(row, ensure_ascii=True) + "\n"


def check_header(row: dict[str, object], damage: Damage | None = None) -> dict[str, object]:
    """Return the valid header fields of a record in a format that this version can read.

    Fields with an illegal value are left out, and counted in ``damage``.

    Raises:
        ValueError, KeyError, TypeError: the line is not such a header.
    """
    if row["kind"] != "record" or require_int(row["schema"]) != SCHEMA:
        raise ValueError(f"kind {row['kind']!r}, schema {row['schema']!r}")
    return _legal_fields(row, _HEADER_FIELDS, damage or Damage(), number=1)


def read_end(row: Mapping[str, object], damage: Damage, number: int) -> dict[str, Any]:
    """Return the valid fields from the last line of a load-test record; others are ``None``."""
    end = {name: row[name] for name in _END_FIELDS if row.get(name) is not None}
    return dict.fromkeys(_END_FIELDS) | _legal_fields(end, _END_FIELDS, damage, number)


def _legal_fields(
    row: Mapping[str, object],
    fields: Mapping[str, Callable[[object], object]],
    damage: Damage,
    number: int,
) -> dict[str, object]:
    legal: dict[str, object] = {}
    for name, value in row.items():
        try:
            check = fields.get(require_text(name), legal_value)
            legal[name] = None if value is None else check(value)
        except LINE_ERRORS as error:
            damage.add(number, ValueError(f"field {name[:40]!a}: {error}"))
    return legal


def _lost_workers(value: object) -> list[dict[str, object]]:
    return [_lost_worker(require_object(one)) for one in require_array(value)]


def _lost_worker(row: Mapping[str, object]) -> dict[str, object]:
    return {
        "worker": require_int(row["worker"]),
        "why": require_text(row["why"]),
        "at_s": _seconds(row["at_s"]),
        "missing_percent": _percent(row["missing_percent"]),
        **({"measured": require_int(row["measured"])} if "measured" in row else {}),
    }


def _seconds(value: object) -> float:
    return require_number(value, least=-_MAX_SECONDS, most=_MAX_SECONDS)


def _percent(value: object) -> float:
    return require_number(value, least=0, most=100)


def _workers(value: object) -> int:
    return require_int(value, least=1, most=_MAX_WORKERS)


_HEADER_FIELDS: dict[str, Callable[[object], object]] = {
    "command": require_text,
    "url": require_text,
    "load": require_text,
    "host": require_text,
    "model": require_text,
    "clock": require_text,
    "workers": _workers,
}
_END_FIELDS: dict[str, Callable[[object], object]] = {
    "interrupted": require_bool,
    "planned": require_int,
    "missing_percent": _percent,
    "lost_workers": _lost_workers,
}
