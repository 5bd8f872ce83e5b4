"""Lint or fix a text in one dialect with a single call."""

from __future__ import annotations

from pathlib import Path

from undam.lint import LintResult, Settings, Source, dialect_named, fix_source, lint_source
from undam.lint.dialect import IncludeOpener, no_includes
from undam.rules import Severity

_TESTS = Path(__file__).parents[1]


def with_heartbeats(**options: object) -> Settings:
    """Return lint settings with a server heartbeat of 15 s; ``options`` override settings."""
    return Settings(**{"heartbeat_s": 15.0, **options})  # type: ignore[arg-type]


class DialectHarness:
    """A lint dialect and its corpus files.

    Args:
        name: name of the dialect and of its folder in the corpus.
        letters: prefix of its rule codes.
    """

    def __init__(self, name: str, letters: str) -> None:
        self.dialect = dialect_named(name)
        self.corpus = sorted((_TESTS / "lint" / "corpus" / name).glob("*"))
        files = [*self.corpus, *sorted((_TESTS / "rules").glob(f"{letters}[1-6]*/*"))]
        self.texts = [file.read_text("utf-8") for file in files]

    def lint(
        self, text: str, open_include: IncludeOpener = no_includes, **options: object
    ) -> LintResult:
        """Return the lint result for a text."""
        chosen = with_heartbeats(**options)
        return lint_source(self.dialect, Source("f", text), chosen, open_include)

    def codes_and_lines(self, text: str, **options: object) -> list[tuple[str, int]]:
        """Return the code and line of each diagnostic."""
        return [(one.rule.code, one.line) for one in self.lint(text, **options).diagnostics]  # type: ignore[arg-type]

    def codes(self, text: str, **options: object) -> list[str]:
        """Return the code of each diagnostic."""
        return [code for code, _ in self.codes_and_lines(text, **options)]

    def fix(self, text: str, **options: object) -> str:
        """Return the text with all fixes applied."""
        chosen = with_heartbeats(**options)
        return fix_source(self.dialect, Source("f", text), chosen, unsafe=True)

    def corpus_findings(self, name: str) -> list[tuple[str, int]]:
        """Return the code and line of each diagnostic for a corpus file."""
        (file,) = (one for one in self.corpus if one.name == name)
        return self.codes_and_lines(file.read_text("utf-8"))

    def corpus_faults(self, name: str) -> list[str]:
        """Return the code of each error and warning for a corpus file."""
        (file,) = (one for one in self.corpus if one.name == name)
        found = self.lint(file.read_text("utf-8")).diagnostics
        return [one.rule.code for one in found if one.severity is not Severity.INFO]


def include_opener(**texts: str) -> IncludeOpener:
    """Return an ``IncludeOpener`` that reads from these texts, by file name."""
    return lambda pattern: [Source(pattern, texts[pattern])] if pattern in texts else []
