"""Conversion of nanoseconds to milliseconds, as used in reports."""

from __future__ import annotations


def to_ms(ns: float, digits: int = 6) -> float:
    """Convert ``ns`` to milliseconds. The default number of digits is exact to the nanosecond."""
    return round(ns / 1e6, digits)
