"""``# undam: allow RULE`` on a line, or on the line above it, takes a finding back."""

from __future__ import annotations

import re

from undam.configs.mistake import Mistake
from undam.configs.source import Source

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


def is_allowed(source: Source, mistake: Mistake) -> bool:
    """Whether a comment allows this finding."""
    names = allowed_at(source, mistake.line)
    return mistake.rule.code.lower() in names or mistake.rule.slug in names
