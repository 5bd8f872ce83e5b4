"""Creation and merging of diagnostics."""

from __future__ import annotations

from dataclasses import replace

from undam.lint.diagnostics import (
    ConfigRule,
    Safety,
    diagnostic_at,
    for_route,
    unique_diagnostics,
    with_unread_part,
)
from undam.lint.evidence.assessment import AssessedRoute, Assessment, RouteOutcome
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source

RULE = ConfigRule(
    code="TST101",
    slug="toy",
    severity=Severity.ERROR,
    message="{what} is on",
    what="w",
    why="y",
    detection="d",
    fix="f",
    source="s",
    safety=Safety.SAFE,
)
SOURCE = Source("f", "one\ntwo three\n")


def test_a_diagnostic_has_the_position_of_its_span() -> None:
    edit = Edit(4, 7, "2")
    one = diagnostic_at(RULE, SOURCE, (8, 13), edit, what="x")
    assert (one.path, one.line, one.column, one.length) == ("f", 2, 5, 5)
    assert (one.severity, one.message, one.edits) == (Severity.ERROR, "x is on", (edit,))
    info = diagnostic_at(RULE, SOURCE, (0, 3), severity=Severity.INFO, what="y")
    assert info.severity is Severity.INFO


def test_diagnostics_at_one_position_are_merged_with_their_edits() -> None:
    first, second = Edit(0, 1, "a"), Edit(4, 5, "b")
    late = diagnostic_at(RULE, SOURCE, (4, 7), first, what="x")
    early = diagnostic_at(RULE, SOURCE, (0, 3), first, what="x")
    same = replace(late, edits=(second, first))
    assert unique_diagnostics([late, early, same]) == (early, replace(late, edits=(first, second)))


def test_of_diagnostics_at_one_position_those_of_the_most_certain_route_count() -> None:
    maybe, streams = (
        AssessedRoute("f", 1, outcome.name, "", Assessment(outcome))
        for outcome in (RouteOutcome.MAYBE, RouteOutcome.STREAMS)
    )
    one = diagnostic_at(RULE, SOURCE, (0, 3), what="x")
    (uncertain,), (certain,) = for_route(maybe, [one]), for_route(streams, [one])
    assert unique_diagnostics([uncertain, certain]) == (certain,)
    assert unique_diagnostics([certain, uncertain]) == (certain,)


def test_an_unread_part_lowers_the_severity_and_takes_the_fix_away() -> None:
    error = diagnostic_at(RULE, SOURCE, (0, 3), Edit(0, 1, "a"), what="x")
    once = with_unread_part(error, "include a")
    assert (once.severity, once.edits) == (Severity.WARNING, ())
    assert once.message == "x is on (not certain, because include a was not read)"
    assert with_unread_part(once, "include b").severity is Severity.INFO
