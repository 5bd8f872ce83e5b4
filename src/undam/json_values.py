"""Type checks for values of parsed JSON: each returns its argument or raises.

A value of the wrong type raises TypeError, a number outside its range ValueError. Callers turn both
into an error that names the file or the line.
"""

from __future__ import annotations

from math import isfinite

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
    """Return ``value``, which must be a string that UTF-8 can encode."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    value.encode()  # Raises a ValueError for half of a surrogate pair.
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
