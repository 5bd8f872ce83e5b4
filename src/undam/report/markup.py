"""HTML and SVG generation in which all text is escaped.

Everything is built with ``element``, which escapes every string that is not ``Markup``.
"""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """String that already contains markup and needs no escaping."""

    __slots__ = ()


Child = str | None
Attribute = str | float | None

NO_VALUE = "\u2013"
"""Text for a missing value."""

# Harmless characters that str.isprintable() excludes: newline and non-breaking spaces.
_KEPT = "\n\u00a0\u202f"

# HTML elements without an end tag (HTML 13.1.2). Empty SVG elements do have an end tag.
_VOID = frozenset({"meta", "br"})


def escape(text: str) -> Markup:
    """Return ``text``, escaped for use in elements and attributes.

    Control characters, bidirectional marks and surrogates are replaced by Python escapes.
    """
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode("ascii")
            for c in text
        )
    return Markup(html.escape(text, quote=True))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Return one element.

    Args:
        children: strings are escaped, ``Markup`` is not, ``None`` is omitted.
        attributes: ``class_`` stands for ``class``, ``stroke_width`` for ``stroke-width``. ``None``
            is omitted, and numbers are rounded.
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
    """Return ``children`` joined into one piece of markup."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child)
            for child in children
            if child is not None
        )
    )


def _value(value: str | float) -> str:
    return str(escape(value)) if isinstance(value, str) else px(value)


def px(value: float) -> str:
    """Return a coordinate in pixels, rounded to one decimal."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def format_ms(value: float) -> str:
    """Return a duration with a unit, to three or four digits."""
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    if value >= 100:
        return f"{value:.0f} ms"
    if value >= 10:
        return f"{value:.1f} ms"
    return f"{value:.2f} ms"


def format_count(value: float) -> str:
    """Return a count with narrow spaces as thousands separators."""
    return f"{value:,.0f}".replace(",", "\u202f")
