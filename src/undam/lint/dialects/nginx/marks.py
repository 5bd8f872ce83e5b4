"""From a directive and a rule to what is told."""

from __future__ import annotations

from dataclasses import replace

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.nginx.tree import Directive
from undam.rules import Severity
from undam.textfiles.edits import Edit


def told(rule: ConfigRule, fix: tuple[Directive, Edit | None], **words: object) -> Diagnostic:
    """A rule that fired at a directive, with the edit in the same file that mends it."""
    at, edit = fix
    line, column = at.source.position(at.start)
    shown = at.source.text[at.start : at.words[-1].end].partition("\n")[0].rstrip()
    return Diagnostic(
        rule=rule,
        severity=rule.severity,
        message=rule.message.format(**words),
        path=at.source.path,
        line=line,
        column=column,
        length=len(shown),
        edits=(edit,) if edit is not None else (),
    )


def as_remark(diagnostic: Diagnostic) -> Diagnostic:
    """The same where it does no harm."""
    return replace(diagnostic, severity=Severity.INFO)
