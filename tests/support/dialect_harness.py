"""Short questions to a dialect: what it tells of a text, and what it makes of it."""

from __future__ import annotations

from pathlib import Path

from undam.lint import LintResult, Settings, Source, dialect_named, fix_source, lint_source
from undam.lint.dialect import IncludeOpener, no_includes

_TESTS = Path(__file__).parents[1]


class DialectHarness:
    """One dialect, asked about texts.

    Args:
        name: of the dialect, and of its folder in the corpus.
        letters: of its rules.
    """

    def __init__(self, name: str, letters: str) -> None:
        self.dialect = dialect_named(name)
        self.corpus = sorted((_TESTS / "lint" / "corpus" / name).glob("*"))
        files = [*self.corpus, *sorted((_TESTS / "rules").glob(f"{letters}[1-6]*/*"))]
        self.texts = [file.read_text("utf-8") for file in files]

    def lint(
        self, text: str, open_include: IncludeOpener = no_includes, **options: object
    ) -> LintResult:
        """All that lint says of a text."""
        chosen = Settings(**options)  # type: ignore[arg-type]
        return lint_source(self.dialect, Source("f", text), chosen, open_include)

    def codes_and_lines(self, text: str, **options: object) -> list[tuple[str, int]]:
        """Codes and lines."""
        return [(one.rule.code, one.line) for one in self.lint(text, **options).diagnostics]  # type: ignore[arg-type]

    def codes(self, text: str, **options: object) -> list[str]:
        """Codes."""
        return [code for code, _ in self.codes_and_lines(text, **options)]

    def fix(self, text: str, **options: object) -> str:
        """The text with every fix made."""
        chosen = Settings(**options)  # type: ignore[arg-type]
        return fix_source(self.dialect, Source("f", text), chosen, unsafe=True)

    def corpus_findings(self, name: str) -> list[tuple[str, int]]:
        """Codes and lines of a file of the corpus."""
        (file,) = (one for one in self.corpus if one.name == name)
        return self.codes_and_lines(file.read_text("utf-8"))


def include_opener(**texts: str) -> IncludeOpener:
    """An ``IncludeOpener`` that knows these by their names."""
    return lambda pattern: [Source(pattern, texts[pattern])] if pattern in texts else []
