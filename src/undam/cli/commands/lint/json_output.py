"""Reports for other programs: undam's own JSON, and GitHub workflow annotations."""

from __future__ import annotations

from collections.abc import Iterator

from undam.cli.commands.lint.chain_output import chain_json
from undam.cli.ui.sanitize import one_line, sanitize
from undam.lint import Diagnostic, LintReport, Problem, RouteOutcome
from undam.lint.discovery.passed_over import NO_DIALECT
from undam.rules import Severity
from undam.textfiles.diff import region

_Properties = dict[str, str | int]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def lint_json(report: LintReport) -> dict[str, object]:
    """Return the report as JSON data in schema 1."""
    return {
        "schema": 1,
        "command": "lint",
        "findings": [_finding(one, report) for one in report.diagnostics],
        "unread": [{"path": one.path, "line": one.line, "what": one.what} for one in report.unread],
        "problems": [problem_json(one) for one in report.problems],
        "routes": _routes(report),
        "files": _files(report),
        "settings": [
            {"file": file, "restrictions": text} for file, text in report.restrictions.items()
        ],
        "passed_over": [
            {"path": one.path, "kind": one.kind, "reason": one.reason} for one in report.passed_over
        ],
        "chain": [chain_json(one) for one in report.chains],
    }


def _routes(report: LintReport) -> dict[str, object]:
    return {
        "total": len(report.routes),
        "streaming": report.count(RouteOutcome.STREAMS),
        "maybe": report.count(RouteOutcome.MAYBE),
        "unknown": report.count(RouteOutcome.UNKNOWN),
        "list": [
            {
                "path": one.path,
                "line": one.line,
                "route": one.name,
                "upstream": one.upstream,
                "outcome": one.outcome.name.lower(),
                "evidence": list(one.assessment.evidence),
            }
            for one in report.routes
        ],
    }


def _files(report: LintReport) -> list[dict[str, object]]:
    """Return each file with its dialect; ``read`` is false if part of the file was not read."""
    partly = {one.path for one in report.unread}
    return [
        {"path": path, "dialect": report.dialects[path].name, "read": path not in partly}
        for path in report.files
    ]


def problem_json(problem: Problem) -> dict[str, object]:
    """Return a problem as JSON; line and column are null if there is no position."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _finding(one: Diagnostic, report: LintReport) -> dict[str, object]:
    return {
        "code": one.rule.code,
        "slug": one.rule.slug,
        "severity": one.severity.value,
        "path": one.path,
        "line": one.line,
        "column": one.column,
        "length": one.length,
        "message": one.message,
        "dialect": report.dialect_of(one).name,
        "fix": _fix(one, report),
    }


def _fix(one: Diagnostic, report: LintReport) -> dict[str, object] | None:
    if not one.edits:
        return None
    source = report.source(one)
    lines = report.fix_lines(one)
    return {
        "where": report.dialect_of(one).name,
        "text": "\n".join(line[1:].strip() for line in lines if line[0] == "+"),
        "safety": one.rule.safety.value,
        "diff": lines,
        "edits": [{**region(source, edit), "text": edit.text} for edit in one.edits],
    }


def github_lines(report: LintReport) -> Iterator[str]:
    """Yield workflow commands, which GitHub shows as annotations on lines of a pull request."""
    for one in report.diagnostics:
        properties: _Properties = {
            "file": one.path,
            "line": one.line,
            "endLine": one.line,
            "col": one.column,
            "endColumn": one.column + one.length,
            "title": f"{one.rule.code} {one.rule.slug}",
        }
        yield _command(_COMMANDS[one.severity], properties, one.message)
    for passed in report.passed_over:
        if passed.reason != NO_DIALECT:
            properties = {"file": passed.path, "title": "undam did not read this file"}
            yield _command("notice", properties, passed.reason)
    for file, restrictions in report.restrictions.items():
        properties = {"file": file, "title": "undam settings"}
        yield _command("notice", properties, f"findings can be hidden by: {restrictions}")
    for problem in report.problems:
        properties = {"file": problem.path, "title": "undam could not read this file"}
        if problem.line is not None:
            properties |= {"line": problem.line, "col": problem.column or 1}
        yield _command("error", properties, problem.message)


def _command(name: str, properties: _Properties, message: str) -> str:
    pairs = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{name} {pairs}::{_data(one_line(message))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property value like ``_data``, and also commas, colons and control characters."""
    return sanitize(_data(text)).replace(":", "%3A").replace(",", "%2C")
