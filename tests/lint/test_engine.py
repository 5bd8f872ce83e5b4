"""Lint and fix of texts, with a toy dialect."""

from __future__ import annotations

from support.toy_dialect import TOY, includes
from undam.lint.engine import fix_source, fix_sources, lint_source
from undam.lint.settings import Settings
from undam.textfiles.source import Source


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
