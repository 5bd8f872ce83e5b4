"""SARIF 2.1.0 report (OASIS standard, 2020) with rule explanations and fixes."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from undam import __version__
from undam.lint import (
    ConfigRule,
    Diagnostic,
    Edit,
    LintReport,
    PassedOver,
    Problem,
    Source,
    UnreadPart,
    config_rules,
)
from undam.lint.files import STDIN
from undam.rules import Severity
from undam.textfiles.diff import region

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}

Json = dict[str, object]


def lint_sarif(report: LintReport) -> Json:
    """Return a SARIF log with one run. Paths are relative to the working directory (%SRCROOT%)."""
    rules = config_rules()
    rule_index = {rule.code: index for index, rule in enumerate(rules)}
    driver: Json = {
        "name": "undam",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules],
    }
    notes = [
        *map(_problem, report.problems),
        *map(_unread, report.unread),
        *map(_passed_over, report.passed_over),
    ]
    run: Json = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"uri": f"{Path.cwd().as_uri().rstrip('/')}/"}},
        "invocations": [
            {"executionSuccessful": not report.problems, "toolExecutionNotifications": notes}
        ],
        "results": [
            _result(one, report.source(one), rule_index[one.rule.code])
            for one in report.diagnostics
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: ConfigRule) -> Json:
    return {
        "id": rule.code,
        "name": rule.slug,
        "shortDescription": {"text": rule.slug.replace("-", " ").capitalize()},
        "fullDescription": {"text": rule.message},
        "help": {"text": rule.explain},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"safety": rule.safety.value, "source": rule.source},
    }


def _result(one: Diagnostic, source: Source, rule_index: int) -> Json:
    position = {
        "startLine": one.line,
        "startColumn": one.column,
        "endLine": one.line,
        "endColumn": one.column + one.length,
    }
    result: Json = {
        "ruleId": one.rule.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[one.severity],
        "message": {"text": one.message},
        "locations": [_location(one.path, position)],
    }
    if one.edits:
        result["fixes"] = [_fix(one, source)]
    return result


def _fix(one: Diagnostic, source: Source) -> Json:
    change = {
        "artifactLocation": _artifact(one.path),
        "replacements": [_replacement(source, edit) for edit in one.edits],
    }
    text = f"Fix {one.rule.slug} ({one.rule.safety.value})"
    return {"description": {"text": text}, "artifactChanges": [change]}


def _replacement(source: Source, edit: Edit) -> Json:
    replaced = region(source, edit)
    deleted = {
        "startLine": replaced["line"],
        "startColumn": replaced["column"],
        "endLine": replaced["end_line"],
        "endColumn": replaced["end_column"],
    }
    return {"deletedRegion": deleted, "insertedContent": {"text": edit.text}}


def _problem(problem: Problem) -> Json:
    position = (
        {} if problem.line is None
        else {"startLine": problem.line, "startColumn": problem.column or 1}
    )  # fmt: skip
    return _notification("error", problem.message, problem.path, position)


def _unread(unread: UnreadPart) -> Json:
    position = {"startLine": max(1, unread.line)}
    return _notification("note", f"not read: {unread.what}", unread.path, position)


def _passed_over(one: PassedOver) -> Json:
    return _notification("note", f"passed over: {one.kind}, {one.reason}", one.path, {})


def _notification(level: str, text: str, path: str, position: dict[str, int]) -> Json:
    return {"level": level, "message": {"text": text}, "locations": [_location(path, position)]}


def _location(path: str, position: dict[str, int]) -> Json:
    physical: Json = {"artifactLocation": _artifact(path)}
    if position:
        physical["region"] = position
    return {"physicalLocation": physical}


def _artifact(path: str) -> Json:
    if path == STDIN:
        return {"uri": "stdin"}
    if Path(path).is_absolute():
        return {"uri": f"file://{quote(os.fsencode(path))}"}
    return {"uri": quote(os.fsencode(path)), "uriBaseId": "%SRCROOT%"}
