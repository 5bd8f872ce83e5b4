"""Sanitizing of untrusted text: no terminal control sequences, no forged lines."""

from __future__ import annotations

import unicodedata


def sanitize(text: str, *, keep: str = "") -> str:
    """Return ``text`` with every non-printable character replaced by its Python escape.

    This covers control characters (ESC starts sequences that move the cursor, set the title or
    inject input), bidirectional marks, lone surrogates and all line breaks.

    Args:
        keep: characters that are not escaped, for instance newlines of trusted text.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """Return ``text`` sanitized and on one line: line breaks and tabs become spaces."""
    return sanitize(" ".join(text.split()))


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")
