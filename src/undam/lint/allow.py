"""``# undam: allow RULE`` on a line, or on the line above it, takes a finding back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from undam.lint.diagnostic import Diagnostic
from undam.textfiles.source import Source

_ALLOW = re.compile(r"(?:#|//|;)\s*undam:\s*allow\s+([A-Za-z0-9-]+(?:\s*,\s*[A-Za-z0-9-]+)*)")


def allowed_at(source: Source, line: int) -> frozenset[str]:
    """Codes and slugs that the comments at a line allow there, in lower case."""
    here = source.line(line)
    above = source.line(line - 1)
    names: set[str] = set()
    for text, must_stand_alone in ((here, False), (above, True)):
        found = _ALLOW.search(text)
        if found and not (must_stand_alone and text[: found.start()].strip()):
            names |= {name.strip().lower() for name in found[1].split(",")}
    return frozenset(names)


class Allowances:
    """What comments allow in some files; each line is looked at once."""

    def __init__(self, files: Iterable[Source]) -> None:
        self._files = {one.path: one for one in files}
        self._names: dict[tuple[str, int], frozenset[str]] = {}

    def hold(self, mistake: Diagnostic) -> bool:
        """Whether a comment allows this finding."""
        place = (mistake.path, mistake.line)
        if place not in self._names:
            self._names[place] = allowed_at(self._files[mistake.path], mistake.line)
        names = self._names[place]
        return mistake.rule.code.lower() in names or mistake.rule.slug in names
