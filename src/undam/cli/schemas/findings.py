"""Parts that the JSON results of several commands share."""

from __future__ import annotations

from undam.cli.schemas.notation import Form

SCHEMA = "integer: version of this form; always 1"
VERDICT = "'streaming'|'batched'|'late'|'held-to-end'|'unknown'"
SEVERITY = "'error'|'warning'|'info'"

FIX: Form = {
    "where": "string: the program to change",
    "text": "string: the line to put there",
}
FINDING: Form = {
    "code": "string: never reused; see undam explain CODE",
    "slug": "string",
    "severity": SEVERITY,
    "hop": "string: name of the hop, or of the target",
    "message": "string: for people; may change",
    "evidence": {"*": "any"},
    "fix": ("null", FIX),
}
PROBLEM: Form = {
    "path": "string",
    "line": "integer|null",
    "column": "integer|null",
    "message": "string",
}
DAMAGE: Form = {
    "lines": "integer: lines of the record that could not be read",
    "first_line": "integer|null",
    "reason": "string|null",
}
EVENTS_PER_READ: Form = {"p50": "number", "max": "integer"}
"""Content events that one read returned; more than 1 means that they arrived together."""


def command(name: str) -> str:
    """Return the form of the field "command" with the value ``name``."""
    return f"'{name}'"
