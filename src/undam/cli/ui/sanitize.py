"""Text of others made safe to show: it cannot steer a terminal, nor pass for a line of ours."""

from __future__ import annotations

import unicodedata


def sanitize(text: str, *, keep: str = "") -> str:
    """``text`` with every character that is no visible one written as its Python escape.

    That covers control characters (ESC begins the sequences that move a cursor, set a title or
    answer as if typed), direction marks, lone surrogates and line breaks of any kind.

    Args:
        keep: characters that stay as they are, for instance the newlines of our own texts.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """``text`` on a single line, safe to show: line breaks and tabs become spaces."""
    return sanitize(" ".join(text.split()))


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")
