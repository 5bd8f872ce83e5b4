"""Damage to a record: lines that could not be read."""

from __future__ import annotations

from dataclasses import dataclass

# Errors while parsing a line: not JSON, a missing field, a wrong type, or a value out of range.
LINE_ERRORS = (ValueError, KeyError, TypeError, RecursionError)

_MAX_REASON = 120


@dataclass(slots=True)
class Damage:
    """Number of unreadable lines in a record, and the first such line.

    Attributes:
        lines: number of lines that were left out.
        first_line: number of the first of them, from 1.
        reason: why the first one was left out.
    """

    lines: int = 0
    first_line: int = 0
    reason: str = ""

    def add(self, number: int, error: Exception) -> None:
        """Count a line that is skipped."""
        self.lines += 1
        if not self.first_line:
            self.first_line = number
            # A KeyError's argument is only the field name.
            self.reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]

    @property
    def text(self) -> str:
        """Description of the damage in one line; empty if there is none."""
        if not self.lines:
            return ""
        lines = "line was" if self.lines == 1 else "lines were"
        return (
            f"{self.lines} damaged {lines} left out; the first is line {self.first_line} "
            f"({self.reason})"
        )

    def to_json(self) -> dict[str, object]:
        """Return the damage as JSON data."""
        first = self.first_line or None
        return {"lines": self.lines, "first_line": first, "reason": self.reason}
