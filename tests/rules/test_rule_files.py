"""Every lint rule with its files `<ID>/bad`, `good` and `fixed`, in the dialect's syntax.

Only the rule fires on `bad`, and no rule on `good` and `fixed`. The fix turns `bad` into `fixed`,
byte for byte, and a second fix changes nothing. A rule without a fix does not change `bad`; `fixed`
then follows the instructions in the text of the rule. A `settings.toml` in the folder contains the
settings that the case needs, as in undam.toml.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from undam.lint import (
    DIALECTS,
    ConfigRule,
    Dialect,
    LintResult,
    Safety,
    Settings,
    Source,
    config_rules,
    fix_source,
    lint_source,
    read_settings,
    recognise_dialect,
)
from undam.rules import RULES, Severity

HERE = Path(__file__).parent
KINDS = ("bad", "good", "fixed")
RULE_DIALECT = {rule.code: dialect for dialect in DIALECTS for rule in dialect.rules}


@dataclass(frozen=True)
class Case:
    """The test files for one rule."""

    rule: ConfigRule
    dialect: Dialect

    @cached_property
    def settings(self) -> Settings:
        file = HERE / self.rule.code / "settings.toml"
        table = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
        # The rule files assume that the servers send heartbeats.
        return read_settings({"heartbeat": 15, **table}, where=str(file))

    def source(self, kind: str) -> Source:
        (file,) = (HERE / self.rule.code).glob(f"{kind}.*")
        with file.open(encoding="utf-8", newline="") as text:  # preserve line endings
            return Source(file.name, text.read())

    def lint(self, kind: str) -> LintResult:
        return lint_source(self.dialect, self.source(kind), self.settings)

    def fix(self, source: Source, *, unsafe: bool) -> str:
        return fix_source(self.dialect, source, self.settings, unsafe=unsafe)


def problems(result: LintResult) -> list[object]:
    """Return the diagnostics, and the parts of the file that were not read."""
    return [*result.diagnostics, *result.unread]


each_rule = pytest.mark.parametrize(
    "case",
    [Case(rule, RULE_DIALECT[rule.code]) for rule in config_rules()],
    ids=lambda case: case.rule.code,
)
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def test_rules_and_folders_correspond() -> None:
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders == {rule.code for rule in config_rules()}


def test_codes_and_slugs_are_unique() -> None:
    codes = [rule.code for rule in (*RULES, *config_rules())]
    assert len(set(codes)) == len(codes)
    for dialect in DIALECTS:
        slugs = [rule.slug for rule in dialect.rules]
        assert len(set(slugs)) == len(slugs), dialect.name


@each_dialect
def test_the_codes_of_a_dialect_begin_with_its_own_three_letters(dialect: Dialect) -> None:
    assert dialect.rules
    letters = {rule.code[:3] for rule in dialect.rules}
    assert len(letters) == 1
    others = {rule.code[:3] for other in DIALECTS if other is not dialect for rule in other.rules}
    assert not letters & others


@each_rule
def test_the_fields_of_a_rule_are_well_formed(case: Case) -> None:
    rule = case.rule
    assert re.fullmatch(r"[A-Z]{3}[1-6]\d\d", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.slug)
    assert "\n" not in rule.message
    assert rule.message == rule.message.strip(" .")
    assert max(map(len, rule.explain.splitlines())) <= 100
    assert rule.source


@each_rule
def test_files_are_recognised_by_their_content(case: Case) -> None:
    for kind in KINDS:
        source = case.source(kind)
        assert recognise_dialect(source.path, source.text) is case.dialect, kind


@each_rule
def test_only_the_rule_fires_on_bad_and_marks_a_word(case: Case) -> None:
    source, found = case.source("bad"), case.lint("bad")
    assert {one.rule.code for one in found.diagnostics} == {case.rule.code}
    assert found.unread == ()
    for one in found.diagnostics:
        assert one.path == source.path
        marked = source.line(one.line)[one.column - 1 :][: one.length]
        assert len(marked) == one.length > 0
        assert marked == marked.strip()
        assert one.severity in Severity


@each_rule
def test_no_rule_fires_on_good(case: Case) -> None:
    assert problems(case.lint("good")) == []


@each_rule
def test_no_rule_fires_on_fixed_and_a_fix_does_not_change_it(case: Case) -> None:
    assert problems(case.lint("fixed")) == []
    source = case.source("fixed")
    assert case.fix(source, unsafe=True) == source.text


@each_rule
def test_the_fix_turns_bad_into_fixed(case: Case) -> None:
    bad, fixed = case.source("bad"), case.source("fixed")
    safe, unsafe = case.fix(bad, unsafe=False), case.fix(bad, unsafe=True)
    if case.rule.safety is Safety.SAFE:
        assert safe == fixed.text
    else:
        assert safe == bad.text
    assert unsafe == (bad.text if case.rule.safety is Safety.NONE else fixed.text)
    assert case.fix(Source(bad.path, unsafe), unsafe=True) == unsafe


@each_rule
def test_a_comment_suppresses_each_finding(case: Case) -> None:
    bad = case.source("bad")
    lines = bad.text.split("\n")
    for number in sorted({one.line for one in case.lint("bad").diagnostics}, reverse=True):
        indent = " " * (len(lines[number - 1]) - len(lines[number - 1].lstrip()))
        comment = f"{indent}{case.dialect.comment} undam: allow {case.rule.slug}"
        lines.insert(number - 1, comment)
    suppressed = Source(bad.path, "\n".join(lines))
    assert problems(lint_source(case.dialect, suppressed, case.settings)) == []
