"""JSON for event data: one line, from all types that applications usually send.

Objects of pydantic, msgspec, attrs, numpy and of SDKs are recognized by their methods, so that no
library is imported here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Set
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

# These characters are valid in JSON strings, but some clients (httpx iter_lines) treat them as line
# breaks.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}

# Keys that are not strings are converted up to this nesting depth.
_MAX_DEPTH = 64


def encode_json(value: object) -> bytes:
    """Encode ``value`` as compact JSON on one line.

    Models, dataclasses, dates, UUIDs, decimals, enums, sets and the objects of common SDKs are
    converted. U+0085, U+2028 and U+2029 are escaped, because some clients treat them as line
    breaks.

    Raises:
        ValueError: a float is NaN or infinite, or the value contains itself.
        TypeError: the value contains a type that cannot be converted; the message names it.
    """
    text = json_text(value)
    return text.encode() if text.isascii() else _utf8(text)


def json_text(value: object) -> str:
    """Return ``value`` as compact JSON on one line, as text; see `encode_json`."""
    try:
        text = _dumps(value)
    except TypeError as error:
        if "keys must be" not in str(error):
            raise
        text = _dumps(_with_text_keys(value, 0))
    return text if text.isascii() else text.translate(_LINE_ENDS)


def plain(value: object) -> Any:
    """Convert ``value`` to an object that JSON supports.

    Raises:
        TypeError: there is none; the message names the type and the fix.
    """
    for matches, convert in _CONVERSIONS:
        if matches(value):
            return convert(value)
    kind = type(value)
    raise TypeError(
        f"an item of type {kind.__module__}.{kind.__qualname__} cannot be sent as JSON; "
        "yield a dict or str, or pass encode= to convert it"
    )


def _dumps(value: object) -> str:
    return json.dumps(
        value, default=plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8 encoding, but it can be sent as a JSON escape. JSON is ASCII
        # outside strings, so the escape always ends up inside a string.
        return text.encode("utf-8", "backslashreplace")


def _with_text_keys(value: object, depth: int) -> Any:
    """Return ``value`` with the keys of all mappings converted to strings."""
    if depth > _MAX_DEPTH:
        raise ValueError("the value is nested too deeply")
    if isinstance(value, Mapping):
        return {_key(key): _with_text_keys(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(item, depth + 1) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return _with_text_keys(plain(value), depth + 1)


def _key(key: object) -> str:
    if isinstance(key, Enum):
        return _key(key.value)
    if isinstance(key, str):
        return key
    converted = key if isinstance(key, int | float) or key is None else plain(key)
    return converted if isinstance(converted, str) else _dumps(converted)


def _model(value: Any) -> Any:
    # Only fields that were set are encoded, because these SDKs set all other fields to None.
    if type(value).__module__.partition(".")[0] in _SDKS:
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    # The AG-UI protocol requires that fields without a value be absent.
    absent = type(value).__module__.startswith("ag_ui.")
    return value.model_dump(mode="json", by_alias=True, exclude_none=absent)


def _refuse_class(value: type) -> Any:
    raise TypeError(f"the class {value.__qualname__} was yielded instead of one of its instances")


def _number(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}


_SDKS = frozenset({"openai", "anthropic", "groq", "together", "cerebras"})

_CONVERSIONS: tuple[tuple[Callable[[object], bool], Callable[[Any], Any]], ...] = (
    (lambda value: isinstance(value, type), _refuse_class),
    (lambda value: isinstance(value, Enum), lambda value: value.value),
    (lambda value: hasattr(value, "model_dump"), _model),
    (dataclasses.is_dataclass, _fields),
    (lambda value: isinstance(value, date | time), lambda value: value.isoformat()),
    (lambda value: isinstance(value, timedelta), lambda value: value.total_seconds()),
    (lambda value: isinstance(value, UUID), str),
    (lambda value: hasattr(value, "__fspath__"), lambda value: value.__fspath__()),
    (lambda value: isinstance(value, Decimal), _number),
    (lambda value: isinstance(value, Mapping), dict),
    (lambda value: isinstance(value, Set), list),
    (
        lambda value: isinstance(value, bytes | bytearray | memoryview),
        lambda value: bytes(value).decode("utf-8", "replace"),
    ),
    # pydantic 1
    (lambda value: hasattr(value, "__fields__") and hasattr(value, "dict"), lambda v: v.dict()),
    (
        lambda value: hasattr(value, "__struct_fields__"),  # msgspec
        lambda value: {name: getattr(value, name) for name in value.__struct_fields__},
    ),
    (
        lambda value: hasattr(value, "__attrs_attrs__"),
        lambda value: {one.name: getattr(value, one.name) for one in value.__attrs_attrs__},
    ),
    # numpy scalars and arrays, and tensors of other array libraries
    (lambda value: hasattr(value, "tolist"), lambda value: value.tolist()),
    # protobuf messages of google-cloud libraries, and objects of SDKs without pydantic
    (lambda value: hasattr(value, "to_dict"), lambda value: value.to_dict()),
    (lambda value: hasattr(value, "__next__") or hasattr(value, "popleft"), list),
)
"""Tests and conversions, in order: the first that matches is used."""
