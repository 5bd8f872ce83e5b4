"""What a configuration rule is, and what it found where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from undam.rules import Rule, Severity
from undam.textfiles.edit import Edit


class Safety(StrEnum):
    """What a fix changes."""

    SAFE = "safe"
    """Only how this route streams."""
    UNSAFE = "unsafe"
    """More than that: other routes, other responses, or a limit that protects the server."""
    NONE = "none"
    """There is no edit that mends it; the explain text says what to do."""


@dataclass(frozen=True, slots=True)
class ConfigRule(Rule):
    """A rule about a line of configuration.

    Args:
        safety: of its fix.
        source: where it was measured or is documented.
    """

    safety: Safety
    source: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A rule that fired.

    Args:
        message: the rule's, filled.
        line, column: from 1, of the offending word.
        length: how many characters to mark.
        edits: what mends it, in the file at ``path``, all or none of them; empty: nothing does.
        path: of the file it stands in, which may be an included one.
    """

    rule: ConfigRule
    severity: Severity
    message: str
    path: str
    line: int
    column: int
    length: int
    edits: tuple[Edit, ...] = ()
