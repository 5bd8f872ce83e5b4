"""Registry of dialects, and detection of a file's dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import undam.lint
from support.toy_dialect import TOY
from undam.errors import UsageError
from undam.lint.dialect import no_includes
from undam.lint.registry import DIALECTS, config_rules, dialect_named, recognise_dialect


def test_a_text_without_an_opener_has_no_includes() -> None:
    assert no_includes("/etc/nginx/*.conf") == []


def test_a_dialect_is_found_by_name_and_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(TOY, name="other", recognises=lambda _path, _text: True)
    monkeypatch.setattr("undam.lint.registry.DIALECTS", (TOY, other))
    assert dialect_named("other") is other
    with pytest.raises(UsageError, match="there is no dialect"):
        dialect_named("none")
    assert recognise_dialect("a.toy", "") is TOY
    assert recognise_dialect("a.txt", "") is other
    assert config_rules() == (*TOY.rules, *other.rules)
    monkeypatch.setattr("undam.lint.registry.DIALECTS", (TOY,))
    assert recognise_dialect("a.txt", "") is None


def test_every_dialect_package_is_registered() -> None:
    package = Path(undam.lint.__file__).parent
    names = {path.parent.name for path in package.glob("dialects/*/__init__.py")}
    assert names == {dialect.name.replace("-", "_") for dialect in DIALECTS}


def test_names_of_dialects_are_unique() -> None:
    names = [dialect.name for dialect in DIALECTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "text", ["", "\n", "hello world", "\0", "key: value\n", "{}", "[a]\nb = 1"]
)
def test_a_text_of_no_dialect_is_not_recognised(text: str) -> None:
    assert recognise_dialect("notes.txt", text) is None


recognisers = pytest.mark.parametrize(
    "recognises", [dialect.recognises for dialect in DIALECTS], ids=lambda _: "dialect"
)


@pytest.mark.slow
@recognisers
@given(text=st.text(max_size=50))
def test_recognition_accepts_any_text(recognises: Callable[[str, str], bool], text: str) -> None:
    assert recognises("-", text) in {True, False}
