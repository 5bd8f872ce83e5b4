"""Loss in a record: lines that could not be read."""

from __future__ import annotations

from dataclasses import dataclass

# Errors of parsing one line: not JSON, a missing field, a value of the wrong type or out of range.
LINE_ERRORS = (ValueError, KeyError, TypeError, RecursionError)

_MAX_REASON = 120


@dataclass(slots=True)
class Damage:
    """Damaged lines of one record.

    Attributes:
        lines: number of lines that were left out.
        first_line: number of the first of them, from 1.
        reason: why the first one was left out.
    """

    lines: int = 0
    first_line: int = 0
    reason: str = ""

    def add(self, number: int, error: Exception) -> None:
        """Count a line that was left out."""
        self.lines += 1
        if not self.first_line:
            self.first_line = number
            # The argument of a KeyError is only the name of the field.
            self.reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]

    @property
    def text(self) -> str:
        """One line about the loss; empty if there is none."""
        if not self.lines:
            return ""
        lines = "line was" if self.lines == 1 else "lines were"
        return (
            f"{self.lines} damaged {lines} left out; the first is line {self.first_line} "
            f"({self.reason})"
        )

    def to_json(self) -> dict[str, object]:
        """Return the loss as JSON data."""
        first = self.first_line or None
        return {"lines": self.lines, "first_line": first, "reason": self.reason}
