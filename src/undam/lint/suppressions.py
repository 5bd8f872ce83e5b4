"""Suppression comments, such as ``# undam: allow RULE``, on a line or alone on the line above."""

from __future__ import annotations

import re
from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.textfiles.source import Source

_ALLOW = re.compile(r"(?:#|//|;)\s*undam:\s*allow\s+([A-Za-z0-9-]+(?:\s*,\s*[A-Za-z0-9-]+)*)")


def suppressed_at(source: Source, line: int) -> frozenset[str]:
    """Return the rule codes and slugs that comments suppress at a line, in lower case."""
    names: set[str] = set()
    for text, must_stand_alone in ((source.line(line), False), (source.line(line - 1), True)):
        match = _ALLOW.search(text)
        if match and not (must_stand_alone and text[: match.start()].strip()):
            names |= {name.strip().lower() for name in match[1].split(",")}
    return frozenset(names)


class Suppressions:
    """Suppression comments in a set of files. Each line is parsed at most once."""

    def __init__(self, files: Iterable[Source]) -> None:
        self._files = {source.path: source for source in files}
        self._names: dict[tuple[str, int], frozenset[str]] = {}

    def covers(self, diagnostic: Diagnostic) -> bool:
        """Return whether a comment suppresses the diagnostic."""
        key = (diagnostic.path, diagnostic.line)
        if key not in self._names:
            self._names[key] = suppressed_at(self._files[diagnostic.path], diagnostic.line)
        names = self._names[key]
        return diagnostic.rule.code.lower() in names or diagnostic.rule.slug in names
