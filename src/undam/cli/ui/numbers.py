"""Formatting of numbers in text output."""

from __future__ import annotations

_UNCOUNTABLE = {"info"}


def plural(number: int, noun: str) -> str:
    """Return the number with its noun: "1 file", "2 files", but "2 info"."""
    return f"{number} {noun}{'' if number == 1 or noun in _UNCOUNTABLE else 's'}"
