"""What may stand in a rendered configuration: words that mean only themselves in every dialect."""

from __future__ import annotations

import re

from undam.errors import UsageError
from undam.lint.dialect import RenderRequest

_PLAIN = re.compile(r"[A-Za-z0-9_./:\[\]~%@+,=*-]+")


def require_plain_words(request: RenderRequest, program: str) -> None:
    """Raises UsageError for a word that would mean more than itself to ``program``."""
    for word in (request.upstream, request.path, request.listen):
        if not _PLAIN.fullmatch(word):
            raise UsageError(f"{word!r} cannot stand in a configuration of {program}")
