"""The pages in docs/rules contain the texts of the check and lint rules."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from undam.lint import DIALECTS, Safety, config_rules
from undam.rules import RULES, Rule

ROOT = Path(__file__).resolve().parents[2]
ALL_RULES: tuple[Rule, ...] = (*RULES, *config_rules())


@pytest.fixture(scope="module")
def write_docs() -> ModuleType:
    """Load the script from a path; without a .py suffix, it cannot be imported by name."""
    loader = SourceFileLoader("write_docs", str(ROOT / "scripts" / "write-docs"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_pages_are_up_to_date(write_docs: ModuleType) -> None:
    wanted = write_docs.pages()
    there = {path.name: path.read_text("utf-8") for path in (ROOT / "docs" / "rules").iterdir()}
    stale = {name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)}
    assert not stale, "run .venv/bin/python scripts/write-docs"


def test_every_rule_has_a_page_and_a_row(write_docs: ModuleType) -> None:
    pages = write_docs.pages()
    assert set(pages) == {"README.md"} | {f"{rule.code}.md" for rule in ALL_RULES}
    for rule in ALL_RULES:
        assert pages["README.md"].count(f"| [{rule.code}]({rule.code}.md) | {rule.slug} |") == 1
        assert pages[f"{rule.code}.md"].startswith(f"# {rule.code} {rule.slug}\n")


def test_every_dialect_has_a_table_with_the_safety_of_its_fixes(write_docs: ModuleType) -> None:
    index = write_docs.pages()["README.md"]
    for dialect in DIALECTS:
        _, found, rest = index.partition(f"## In a configuration of {dialect.title}: ")
        assert found
        table = rest.partition("\n## ")[0]
        for rule in dialect.rules:
            (row,) = [line for line in table.splitlines() if f"[{rule.code}]" in line]
            assert row.split(" | ")[3] == rule.safety.value


def test_page_of_a_lint_rule_states_the_safety_of_its_fix(write_docs: ModuleType) -> None:
    pages = write_docs.pages()
    for rule in config_rules():
        is_none = rule.safety is Safety.NONE
        safety = "Not applicable" if is_none else rule.safety.value.capitalize()
        assert f"**Safety of the fix:** {safety}" in pages[f"{rule.code}.md"]


def test_page_contains_every_word_of_the_text(write_docs: ModuleType) -> None:
    pages = write_docs.pages()
    for rule in ALL_RULES:
        words = pages[f"{rule.code}.md"].replace("**", "").split()
        assert [word for word in rule.explain.split() if word not in words] == []


def test_pages_of_removed_rules_are_deleted(
    write_docs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_docs, "DOCS", tmp_path)
    (tmp_path / "UD199.md").write_text("gone", "utf-8")
    write_docs.main()
    assert {path.name for path in tmp_path.iterdir()} == set(write_docs.pages())
