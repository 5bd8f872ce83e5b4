"""Type checks for values from parsed JSON. Each check returns its argument or raises an error.

A value of the wrong type raises TypeError, a number outside its range ValueError. Callers turn both
into an error that names the file or the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from sys import float_info

# Deeper values are malicious, and json.dumps raises a RecursionError if a value is very deep.
_MAX_DEPTH = 16

MAX_INT = (1 << 63) - 1
"""Largest integer that is accepted by default; nanosecond timestamps fit in 63 bits."""


def require_object(value: object) -> dict[str, object]:
    """Return ``value``, which must be a JSON object."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def require_array(value: object) -> list[object]:
    """Return ``value``, which must be a JSON array."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not an array")
    return value


def require_text(value: object) -> str:
    """Return ``value``, which must be a string that can be encoded as UTF-8."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    value.encode()  # Encoding raises a ValueError for a lone surrogate.
    return value


def require_bool(value: object) -> bool:
    """Return ``value``, which must be true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def require_int(value: object, *, least: int = 0, most: int = MAX_INT) -> int:
    """Return ``value``, which must be an integer from ``least`` to ``most``."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    if not least <= value <= most:
        raise ValueError(f"{value!r} is not in the range from {least} to {most}")
    return value


def require_number(value: object, *, least: float, most: float) -> float:
    """Return ``value``, which must be a finite number from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if not (isfinite(value) and least <= value <= most):
        raise ValueError(f"{value!r} is not in the range from {least:g} to {most:g}")
    return value


def legal_value(value: object, depth: int = _MAX_DEPTH) -> object:
    """Return ``value``, which must be JSON that all readers of the result accept.

    Strings can be encoded as UTF-8, numbers are finite, integers have at most 63 bits, and values
    are nested at most 16 levels deep.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return require_text(value)
    if isinstance(value, int):
        return require_int(value, least=-MAX_INT)
    if isinstance(value, float):
        return require_number(value, least=-float_info.max, most=float_info.max)
    if depth == 0:
        raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {require_text(name): legal_value(item, depth - 1) for name, item in value.items()}
    return [legal_value(item, depth - 1) for item in require_array(value)]


def finite_or_none(value: object) -> object:
    """Return a JSON value in which null replaces NaN and infinities, which JSON does not support.

    Raises:
        RecursionError: the value is nested too deeply.
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite_or_none(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates replaced, so that it can be encoded as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
