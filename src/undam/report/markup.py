"""HTML and SVG written so that no text of others can become markup.

``element`` is the only way in: whatever is not ``Markup`` yet is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | None
Attribute = str | float | None

NOTHING = "\u2013"
"""What stands where there is no figure."""

# Not printable to Python, but harmless: a line's end, and the spaces that do not break.
_KEPT = "\n\u00a0\u202f"

# They have no end tag (HTML 13.1.2); SVG's own empty elements are closed like any other.
_VOID = frozenset({"meta", "br"})


def escape(text: str) -> Markup:
    """``text`` as characters: no tag, no attribute's end, no control or direction mark.

    What a page could obey or a file could not hold is written as its Python escape.
    """
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode("ascii")
            for c in text
        )
    return Markup(html.escape(text, quote=True))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """One element.

    Args:
        children: strings are escaped, ``Markup`` is taken as it is, ``None`` is left out.
        attributes: ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; ``None`` is left
            out; numbers lose what no screen could show.
    """
    head = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{head}>")
    return Markup(f"<{name}{head}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """These one after another."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child)
            for child in children
            if child is not None
        )
    )


def _value(value: str | float) -> str:
    return str(escape(value)) if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def figure_ms(value: float) -> str:
    """A duration as a reader takes it in: three or four figures and its unit."""
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    if value >= 100:
        return f"{value:.0f} ms"
    if value >= 10:
        return f"{value:.1f} ms"
    return f"{value:.2f} ms"


def count(value: float) -> str:
    """A number of things, with a narrow space between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")
