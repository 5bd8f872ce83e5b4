"""Conversion of nanoseconds to the milliseconds of reports."""

from __future__ import annotations


def to_ms(ns: float, digits: int = 6) -> float:
    """Return ``ns`` in milliseconds; the default number of digits is exact to the nanosecond."""
    return round(ns / 1e6, digits)
