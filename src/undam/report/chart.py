"""Shared parts of all charts: axes, labels, titles and accessible descriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from undam.report.axes import Scale
from undam.report.markup import Child, Markup, element, format_count, format_ms, join

WIDTH = 960.0
LEFT = 62.0
RIGHT = WIDTH - 18.0


@dataclass(frozen=True, slots=True)
class Table:
    """Column headings and rows for a table."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def table(content: Table) -> Markup:
    """Return a table as HTML; the cells in the first column are row headings."""
    head = join(element("th", name, scope="col") for name in content.head)
    rows = (
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell) for cell in row[1:]),
        )
        for row in content.rows
    )
    inner = element("table", element("thead", element("tr", head)), element("tbody", *rows))
    return element("div", inner, class_="scroll")


def drawing(
    name: str, height: float, title: str, description: str, parts: Iterable[Child]
) -> Markup:
    """Return an SVG image with an accessible title and description.

    Args:
        name: prefix of the IDs.
        description: text that replaces the image in a screen reader.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *parts,
        id=name,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
    )


def figure(picture: Markup, caption: Child, numbers: Table) -> Markup:
    """Return a chart with its caption and a collapsed table of its values."""
    return element(
        "figure",
        element("div", picture, class_="scroll"),
        element("figcaption", caption),
        element("details", element("summary", "Numbers"), table(numbers)),
    )


def duration_rows(y: Scale, wanted: int = 5) -> Markup:
    """Return horizontal grid lines at round durations, with labels."""
    return _rows(y, y.ticks(wanted), tick_ms)


def count_rows(y: Scale) -> Markup:
    """Return horizontal grid lines at round counts, with labels."""
    return _rows(y, [value for value in y.ticks(2) if value == round(value)], format_count)


def rate_rows(y: Scale) -> Markup:
    """Return horizontal grid lines at round rates, with labels."""
    return _rows(y, y.ticks(3), lambda value: f"{value:g}")


def _rows(y: Scale, values: Iterable[float], label: Callable[[float], str]) -> Markup:
    return join(
        part
        for value in values
        for part in (
            line(LEFT, y(value), RIGHT, y(value), class_="grid"),
            text(LEFT - 8, y(value) + 4, label(value), class_="tick end"),
        )
    )


def seconds_below(x: Scale, y: float) -> Markup:
    """Return labels at round times, to be shown below the chart."""
    return join(text(x(value), y, f"{value:g} s", class_="tick mid") for value in x.ticks(8))


def tick_ms(value: float) -> str:
    """Format a round duration without trailing zeros."""
    if value >= 1000:
        return f"{value / 1000:g} s"
    return f"{value:g} ms"


def line(x1: float, y1: float, x2: float, y2: float, *, class_: str) -> Markup:
    """Return an SVG line from (x1, y1) to (x2, y2)."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, content: str, *, class_: str) -> Markup:
    """Return text in an image."""
    return element("text", content, x=x, y=y, class_=class_)


def no_content_note(top: float, bottom: float) -> Markup:
    """Return the text shown in place of a chart without data."""
    return text(LEFT + 8, (top + bottom) / 2, "No request returned any content.", class_="note")


def with_title(name: str, title: str, **attributes: str | float | None) -> Markup:
    """Return a shape with a tooltip."""
    return element(name, element("title", title), **attributes)


def span(values: Sequence[float]) -> str:
    """Return the first and last value as "A to B", for a chart's description."""
    return f"{format_ms(values[0])} to {format_ms(values[-1])}"
