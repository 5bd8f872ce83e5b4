"""Style of the project's prose: no fragments, no speech verbs for data, only glossary terms."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.source_trees import source_nodes
from undam.lint import config_rules
from undam.rules import RULES

ROOT = Path(__file__).resolve().parent.parent

AVOID = {
    r"told|tells?\b(?! apart)": "report, emit, log, send",
    r"whom|whoever": "name the party",
    r"mend(?:s|ed|ing)?": "fix",
    r"judg(?:e|es|ed|ing|ements?)": "analyze, analysis",
    r"theft|stolen": "CPU steal",
    r"knobs?": "category, option",
    r"tongue": "API context",
    r"shelf|shelves": "store",
    r"lookalikes?": "ineffective directive",
    r"crews?": "worker pool",
    r"entrances?": "admission control",
    r"outlets?": "response writer",
    r"(?<!one )(?<!some )of which|in which case|so many|for long(?=[.,;)]|$)": "rephrase",
    r"(?<!there )(?:is|are|was|were) no (?!longer|more|less|way\b|need\b|reason\b)\w+": "is not a",
    r"the half (?!of\b|width\b|second\b|minute\b|hour\b|\w+-)": "half of",
    r"look(?:s|ed)? at the soonest|the soonest": "earliest",
}
"""Map from a pattern to the preferred wording (style.md, glossary)."""

ALLOWED: dict[str, str] = {
    "docs/reference/commands.md: tell": "in the name of --tell-incomplete",
}
"""Map from `file: matched text` to the reason for the exception."""

_FRAGMENT = re.compile(r"^(?:Of|What|Those|Whoever|Whether|Who|Whose|That which)\b[^?]*$")
_AVOID = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in AVOID), re.IGNORECASE)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _docstrings() -> Iterator[tuple[str, str]]:
    for path, nodes in source_nodes():
        for node in nodes:
            if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                yield place, text


def _messages() -> Iterator[tuple[str, str]]:
    """Yield the position and text of each `help=` argument and each error message."""
    for path, nodes in source_nodes():
        for node in nodes:
            texts: list[ast.expr] = []
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                texts = list(node.exc.args)
            elif isinstance(node, ast.Call):
                texts = [one.value for one in node.keywords if one.arg == "help"]
            for part in (inner for text in texts for inner in ast.walk(text)):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield f"{path.relative_to(ROOT)}:{part.lineno}", part.value


def _rule_texts() -> Iterator[tuple[str, str]]:
    for rule in (*RULES, *config_rules()):
        yield rule.code, rule.explain


def _pages() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            text = (ROOT / name).read_text("utf-8")
            yield name, re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


SOURCES = {
    "docstrings": _docstrings,
    "messages": _messages,
    "rule texts": _rule_texts,
    "pages": _pages,
}


@cache
def _texts(kind: str) -> list[tuple[str, str]]:
    return list(SOURCES[kind]())


def _found(place: str, text: str) -> Iterator[str]:
    for match in _AVOID.finditer(text):
        hit = f"{place.partition(':')[0]}: {match[0].lower()}"
        if hit not in ALLOWED:
            around = " ".join(text[max(0, match.start() - 30) : match.end() + 30].split())
            yield f"{place}: {match[0]!r} in “{around}”"


@pytest.mark.parametrize("kind", SOURCES)
def test_no_word_outside_the_glossary(kind: str) -> None:
    texts = _texts(kind)
    assert len(texts) > 20
    assert [hit for place, text in texts for hit in _found(place, text)] == []


def test_no_docstring_starts_as_a_fragment() -> None:
    first = (
        (place, text.split("\n\n")[0].replace("\n", " ")) for place, text in _texts("docstrings")
    )
    assert [f"{place}: {text}" for place, text in first if _FRAGMENT.match(text)] == []


def test_no_help_text_starts_as_a_fragment() -> None:
    assert [f"{place}: {text}" for place, text in _texts("messages") if _FRAGMENT.match(text)] == []


def test_the_check_finds_what_it_is_for() -> None:
    bad = (
        "the server told an error",
        "a changed file is no JSON",
        "Who mends it",
        "so many in flight",
    )
    assert all(list(_found("x", text)) for text in bad)
    assert not list(_found("x", "The body is no longer read; no need to report it."))
    assert _FRAGMENT.match("Of arrivals and prompts.")
    assert not _FRAGMENT.match("What does a reader see?")


def test_every_allowed_word_is_still_there() -> None:
    seen = {
        f"{place.partition(':')[0]}: {match[0].lower()}"
        for kind in (SOURCES if ALLOWED else ())
        for place, text in _texts(kind)
        for match in _AVOID.finditer(text)
    }
    assert set(ALLOWED) - seen == set()
