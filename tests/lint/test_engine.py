"""Linting and fixing texts, with a small test dialect."""

from __future__ import annotations

from dataclasses import replace

from support.toy_dialect import TOY, includes
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.engine import fix_source, fix_sources, lint_source
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.templates import template_source
from undam.versions import Version, VersionRange


def _lint_old(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    result = TOY.lint(source, settings, open_include)
    affected = VersionRange(until="2")
    return replace(
        result, diagnostics=tuple(replace(one, affected=affected) for one in result.diagnostics)
    )


def _lint_inserting(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    (slow,) = TOY.lint(source, settings, open_include).diagnostics
    insert = replace(slow, column=6, edits=(Edit(5, 5, "more "),))
    return LintResult((slow, insert))


TOY_2: Dialect = replace(TOY, lint=_lint_old)
TOY_INSERTING: Dialect = replace(TOY, lint=_lint_inserting)


def test_diagnostics_are_sorted_with_the_own_file_first() -> None:
    source = Source("m", "include a\ninclude b\nwide slow")
    found = lint_source(
        TOY, source, Settings(), includes(b="slow", a="odd\nslow # undam: allow TST")
    )
    positions = [(one.path, one.line, one.column) for one in found.diagnostics]
    assert positions == [("m", 3, 1), ("m", 3, 6), ("a", 1, 1), ("a", 2, 1), ("b", 1, 1)]


def test_comments_in_included_files_suppress() -> None:
    opened = includes(a="# undam: allow TST101\nslow\nwide")
    found = lint_source(TOY, Source("m", "include a"), Settings(), opened)
    assert [one.rule.code for one in found.diagnostics] == ["TST102"]


def test_settings_disable_rules_by_file() -> None:
    settings = Settings(per_file={"a": ("TST101",)}, ignore=("TST102",))
    found = lint_source(TOY, Source("m", "slow wide include a"), settings, includes(a="slow odd"))
    assert [(one.path, one.rule.code) for one in found.diagnostics] == [
        ("m", "TST101"),
        ("a", "TST103"),
    ]


def test_unsafe_fixes_are_applied_only_on_request() -> None:
    source = Source("m", "slow wide odd # slow")
    assert fix_source(TOY, source, Settings()) == "fast wide odd # fast"
    assert fix_source(TOY, source, Settings(), unsafe=True) == "fast narrow odd # fast"
    assert fix_source(TOY, Source("m", "clean"), Settings()) == "clean"


def test_a_diagnostic_that_a_fix_reveals_is_fixed_too() -> None:
    assert fix_source(TOY, Source("m", "slower"), Settings()) == "fast"


def test_fixes_that_undo_each_other_end() -> None:
    assert fix_source(TOY, Source("m", "ping"), Settings()) == "ping"
    assert fix_sources(TOY, Source("m", "same"), Settings()) == {}


def test_included_files_are_fixed() -> None:
    opened = includes(a="slower # slow", b="fast", c="slow")
    source = Source("m", "slow\ninclude a\ninclude b")
    changed = fix_sources(TOY, source, Settings(), open_include=opened)
    assert changed == {"m": "fast\ninclude a\ninclude b", "a": "fast # fast"}
    assert fix_source(TOY, source, Settings(), open_include=opened) == changed["m"]
    clean = Source("m", "include a")
    assert fix_source(TOY, clean, Settings(), open_include=opened) == clean.text


def test_diagnostics_hold_only_for_the_affected_versions() -> None:
    def found(target: str | None) -> list[tuple[Severity, str]]:
        version = Version.parse(target) if target else None
        targets = {"toy": version} if version else {}
        result = lint_source(TOY_2, Source("m", "slow"), Settings(targets=targets))
        return [(one.severity, one.message) for one in result.diagnostics]

    assert found("1.9") == [(Severity.ERROR, "m")]
    assert found("2.0") == []
    assert found(None) == [(Severity.WARNING, "m (holds for Toy before 2; --target toy=VERSION)")]


def test_an_insertion_into_text_that_was_not_read_completely_is_not_offered() -> None:
    source = Source("m", "slow add", holes=())
    (change, insert) = lint_source(TOY_INSERTING, source, Settings()).diagnostics
    assert (len(change.edits), len(insert.edits)) == (1, 1)
    holed = template_source("m.j2", "slow add\n{{ more }}\n")
    (change, insert) = lint_source(TOY_INSERTING, holed, Settings()).diagnostics
    assert (change.severity, len(change.edits)) == (Severity.ERROR, 1)
    assert (insert.severity, insert.edits) == (Severity.WARNING, ())
    assert "{{ more }} at line 2 was not read" in insert.message
