"""Lint corpus of application programs; the first line of each file lists the expected codes."""

from __future__ import annotations

from pathlib import Path

from undam.lint import LintResult, Settings, Source, dialect_named, lint_source, recognise_dialect
from undam.rules import Severity

_CORPUS = Path(__file__).parents[1] / "lint" / "corpus"


def corpus_files(folder: str) -> list[Path]:
    """Return the files in a corpus folder."""
    return sorted((_CORPUS / folder).iterdir())


def lint_program(name: str, path: str, text: str, **options: object) -> LintResult:
    """Return the lint result for a program.

    Args:
        name: name of the dialect.
    """
    settings = Settings(**options)  # type: ignore[arg-type]
    return lint_source(dialect_named(name), Source(path, text), settings)


def codes_of(name: str, path: str, text: str, **options: object) -> list[str]:
    """Return the code of each diagnostic, in source order."""
    return [one.rule.code for one in lint_program(name, path, text, **options).diagnostics]


def corpus_faults(name: str, folder: str) -> list[str]:
    """Return a description of each file whose lint result is not as expected."""
    faults = []
    for file in corpus_files(folder):
        text = file.read_text("utf-8")
        expected = set(text.partition("\n")[0].partition("expected: ")[2].split()) - {"nothing"}
        found = lint_program(name, file.name, text).diagnostics
        codes = {one.rule.code for one in found}
        recognised = recognise_dialect(file.name, text)
        if recognised is None or recognised.name != name:
            faults.append(f"{file.name}: not recognised")
        if codes != expected or file.name.startswith("healthy") != (not expected):
            faults.append(f"{file.name}: {sorted(codes)}")
        if file.name.startswith("healthy") and any(one.severity is Severity.ERROR for one in found):
            faults.append(f"{file.name}: error in a healthy program")
    return faults
