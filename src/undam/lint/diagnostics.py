"""Diagnostics: which rules fired, where they fired, and which edits fix the problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from undam.lint.evidence.assessment import AssessedRoute, RouteOutcome
from undam.rules import Rule, Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.versions import EVERY_VERSION, VersionRange


class Safety(StrEnum):
    """Scope of the effects of a rule's fix."""

    SAFE = "safe"
    """The fix changes only how the streaming route streams."""
    UNSAFE = "unsafe"
    """The fix also affects other routes, other responses, or a limit that protects the server."""
    NONE = "none"
    """There is no automatic fix; the text of the rule describes what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRule(Rule):
    """A rule that applies to lines of a configuration.

    Args:
        safety: how much the fix changes.
        source: where the behaviour was measured or is documented; required for configuration rules.
        affected: versions of the program to which the rule applies.
    """

    safety: Safety
    source: str
    affected: VersionRange = EVERY_VERSION


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A problem that a rule reports at a position in a file.

    Args:
        message: the message of the rule, with the evidence filled in.
        path: the file of the position, which may be an included file.
        line, column: the first character of the offending text, counted from 1.
        length: the number of characters to mark.
        edits: the fix; empty if there is no automatic one. All edits change the file at ``path``
            and must be applied together.
        route: the route that is harmed; ``None`` if the fault harms every route of the server.
        affected: versions of the program for which the diagnostic holds.
    """

    rule: ConfigRule
    severity: Severity
    message: str
    path: str
    line: int
    column: int
    length: int
    edits: tuple[Edit, ...] = ()
    route: AssessedRoute | None = None
    affected: VersionRange = EVERY_VERSION

    @property
    def outcome(self) -> RouteOutcome:
        """Outcome for the harmed route; ``STREAMS`` if the fault harms every route."""
        return RouteOutcome.STREAMS if self.route is None else self.route.outcome


def for_route(route: AssessedRoute, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics, marked as harming ``route``.

    `undam.lint.engine` turns those of a route that may stream into one remark.
    """
    return [replace(one, route=route) for one in diagnostics]


def if_anything_streams(one: Diagnostic) -> Diagnostic:
    """Downgrade a server-wide fault to a remark, because no route is known to stream."""
    message = f"if anything here streams: {one.message}"
    return replace(one, severity=Severity.INFO, message=message, edits=())


def with_unread_part(one: Diagnostic, what: str) -> Diagnostic:
    """Downgrade a diagnostic because part of the configuration was not read.

    The unread part may contain the setting that is missing, so the severity is lower and there is
    no fix.
    """
    lower = Severity.WARNING if one.severity is Severity.ERROR else Severity.INFO
    message = f"{one.message} (not certain, because {what} was not read)"
    return replace(one, severity=lower, message=message, edits=())


def diagnostic_at(
    rule: ConfigRule,
    source: Source,
    span: tuple[int, int],
    *edits: Edit,
    severity: Severity | None = None,
    **evidence: object,
) -> Diagnostic:
    """Create a diagnostic for a span of a source text.

    Args:
        span: start and end offset, on one line.
        edits: the fix.
        severity: overrides the severity of the rule.
        evidence: values for the placeholders in the message of the rule.
    """
    start, end = span
    line, column = source.position(start)
    return Diagnostic(
        rule,
        severity or rule.severity,
        rule.message.format(**evidence),
        source.path,
        line,
        column,
        end - start,
        edits,
        affected=rule.affected,
    )


def unique_diagnostics(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Merge diagnostics that one rule reports at the same position; sort them by position.

    Several routes can share a line. Only those of the routes with the most certain outcome count.
    The merged diagnostic has the edits for all these routes, so one fix covers every route.
    """
    merged: dict[tuple[str, int, int, str], list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        key = (diagnostic.path, diagnostic.line, diagnostic.column, diagnostic.rule.code)
        same = merged.setdefault(key, [])
        if same and diagnostic.outcome > same[0].outcome:
            same.clear()
        if not same or diagnostic.outcome == same[0].outcome:
            same.append(diagnostic)
    return tuple(_merged(same) for _, same in sorted(merged.items(), key=lambda item: item[0]))


def _merged(same: list[Diagnostic]) -> Diagnostic:
    if len(same) == 1:
        return same[0]
    edits = dict.fromkeys(edit for one in same for edit in one.edits)
    return replace(same[0], edits=tuple(edits))
