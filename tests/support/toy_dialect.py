"""Lint dialect in which certain words cause diagnostics, for tests of the lint engine."""

from __future__ import annotations

import re

from undam.lint import (
    ConfigRule,
    Diagnostic,
    Dialect,
    Edit,
    IncludeOpener,
    LintResult,
    Safety,
    Settings,
    Source,
)
from undam.rules import Severity


def _rule(code: str, safety: Safety) -> ConfigRule:
    return ConfigRule(
        code=code,
        slug=f"{code.lower()}-word",
        severity=Severity.ERROR,
        message="m",
        what="w",
        why="y",
        detection="d",
        fix="f",
        source="s",
        safety=safety,
    )


FIXES = {
    "slow": (_rule("TST101", Safety.SAFE), "fast"),
    "wide": (_rule("TST102", Safety.UNSAFE), "narrow"),
    "odd": (_rule("TST103", Safety.NONE), "even"),
    "ping": (_rule("TST104", Safety.SAFE), "pong"),
    "pong": (_rule("TST105", Safety.SAFE), "ping"),
    "slower": (_rule("TST106", Safety.SAFE), "slow"),
    "same": (_rule("TST107", Safety.SAFE), "same"),
}
"""Word -> its rule and its replacement. ``ping`` and ``pong`` undo each other."""


def _lint(source: Source, _settings: Settings, open_include: IncludeOpener) -> LintResult:
    included = [
        file
        for match in re.finditer(r"include (\S+)", source.text)
        for file in open_include(match[1])
    ]
    return LintResult(tuple(_diagnostics(source, *included)), included=tuple(included))


def _diagnostics(*sources: Source) -> list[Diagnostic]:
    """Return the diagnostics in reverse order, so that the engine has to sort them."""
    found = []
    for source in sources:
        for word in re.finditer(r"[a-z]+", source.text):
            if word[0] in FIXES:
                rule, replacement = FIXES[word[0]]
                edit = Edit(word.start(), word.end(), replacement)
                line, column = source.position(word.start())
                found.append(
                    Diagnostic(
                        rule, rule.severity, "m", source.path, line, column, len(word[0]), (edit,)
                    )
                )
    return found[::-1]


TOY = Dialect(
    name="toy",
    title="Toy",
    rules=tuple(rule for rule, _ in FIXES.values()),
    recognises=lambda path, _text: path.endswith(".toy"),
    lint=_lint,
    render=lambda request: request.upstream,
)


def includes(**texts: str) -> IncludeOpener:
    """Return an opener for these files; an include names the beginning of a file name."""

    def open_include(pattern: str) -> list[Source]:
        return [Source(name, text) for name, text in texts.items() if name.startswith(pattern)]

    return open_include
