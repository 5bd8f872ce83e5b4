"""Findings for other programs: undam's own JSON, and annotations of GitHub's workflows."""

from __future__ import annotations

from collections.abc import Iterator

from undam.cli.commands.lint.fix_text import changed_lines, region
from undam.cli.ui.sanitize import one_line, plain
from undam.lint import Diagnostic, Source
from undam.lint.files import Problem
from undam.lint.runner import Report
from undam.rules import Severity

_Properties = dict[str, str | int]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def lint_json(report: Report) -> dict[str, object]:
    """Schema 1."""
    return {
        "schema": 1,
        "command": "lint",
        "findings": [_finding(one, report) for one in report.diagnostics],
        "unread": [{"path": one.path, "line": one.line, "what": one.what} for one in report.unread],
        "problems": [problem_json(one) for one in report.problems],
        "files": sorted({path for root in report.roots for path in root.files}),
    }


def problem_json(problem: Problem) -> dict[str, object]:
    """Why a file was not linted; line and column are null where there is no place."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _finding(one: Diagnostic, report: Report) -> dict[str, object]:
    return {
        "code": one.rule.code,
        "slug": one.rule.slug,
        "severity": one.severity.value,
        "path": one.path,
        "line": one.line,
        "column": one.column,
        "length": one.length,
        "message": one.message,
        "dialect": report.dialects[one.path].name,
        "fix": _fix(one, report),
    }


def _fix(one: Diagnostic, report: Report) -> dict[str, object] | None:
    if not one.edits:
        return None
    source: Source = report.source(one)
    lines = changed_lines(source, one)
    return {
        "where": report.dialects[one.path].name,
        "text": "\n".join(line[1:].strip() for line in lines if line[0] == "+"),
        "safety": one.rule.safety.value,
        "diff": lines,
        "edits": [{**region(source, edit), "text": edit.text} for edit in one.edits],
    }


def github_lines(report: Report) -> Iterator[str]:
    """Workflow commands, which GitHub shows at the lines of a pull request."""
    for one in report.diagnostics:
        place: _Properties = {
            "file": one.path,
            "line": one.line,
            "endLine": one.line,
            "col": one.column,
            "endColumn": one.column + one.length,
            "title": f"{one.rule.code} {one.rule.slug}",
        }
        yield _command(_COMMANDS[one.severity], place, one.message)
    for problem in report.problems:
        where: _Properties = {"file": problem.path, "title": "undam could not read it"}
        if problem.line is not None:
            where |= {"line": problem.line, "col": problem.column or 1}
        yield _command("error", where, problem.message)


def _command(name: str, properties: _Properties, message: str) -> str:
    told = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{name} {told}::{_data(one_line(message))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As ``_data``; commas and colons part properties. What no terminal should get is escaped."""
    return plain(_data(text)).replace(":", "%3A").replace(",", "%2C")
