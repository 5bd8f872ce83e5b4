"""A mistake from a rule and a span of a text."""

from __future__ import annotations

from dataclasses import replace

from undam.lint.diagnostic import ConfigRule, Diagnostic
from undam.rules import Severity
from undam.textfiles.edit import Edit
from undam.textfiles.source import Source


def found_at(
    rule: ConfigRule,
    source: Source,
    span: tuple[int, int],
    *edits: Edit,
    severity: Severity | None = None,
    **evidence: object,
) -> Diagnostic:
    """A mistake at ``span`` (offsets of one line); ``evidence`` fills the rule's message."""
    start, end = span
    line, column = source.place(start)
    return Diagnostic(
        rule,
        severity or rule.severity,
        rule.message.format(**evidence),
        source.path,
        line,
        column,
        end - start,
        edits,
    )


def once_each(mistakes: list[Diagnostic]) -> list[Diagnostic]:
    """Each mistake once, in the order of the text, with the edits of all routes that told it."""
    at: dict[tuple[str, int, int, str], Diagnostic] = {}
    edits: dict[tuple[str, int, int, str], dict[Edit, None]] = {}
    for one in mistakes:
        key = (one.path, one.line, one.column, one.rule.code)
        at.setdefault(key, one)
        edits.setdefault(key, {}).update(dict.fromkeys(one.edits))
    return [replace(at[key], edits=tuple(edits[key])) for key in sorted(at)]
