"""What every chart has: a frame with its axes, a title and a description for who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from undam.report.axes import Scale
from undam.report.markup import Child, Markup, count, element, figure_ms, join

WIDTH = 960.0
LEFT = 62.0
RIGHT = WIDTH - 18.0


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a chart: a heading for each column, and its rows."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def table(content: Table) -> Markup:
    """As HTML; the first column names the row."""
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


def drawing(name: str, height: float, title: str, said: str, parts: Iterable[Child]) -> Markup:
    """An SVG image with its accessible title and description.

    Args:
        name: of the chart, for its ids.
        said: in words what the picture shows.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", said, id=f"{name}-desc"),
        *parts,
        id=name,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
    )


def figure(picture: Markup, caption: Child, numbers: Table) -> Markup:
    """A chart with its caption and, folded away, its numbers."""
    return element(
        "figure",
        element("div", picture, class_="scroll"),
        element("figcaption", caption),
        element("details", element("summary", "Numbers"), table(numbers)),
    )


def duration_rows(y: Scale, wanted: int = 5) -> Markup:
    """Lines across at round durations, each with its value at the left."""
    return _rows(y, y.ticks(wanted), tick_ms)


def count_rows(y: Scale) -> Markup:
    """The same for numbers of things."""
    return _rows(y, [value for value in y.ticks(2) if value == round(value)], count)


def _rows(y: Scale, values: Iterable[float], words: Callable[[float], str]) -> Markup:
    return join(
        part
        for value in values
        for part in (
            line(LEFT, y(value), RIGHT, y(value), class_="grid"),
            text(LEFT - 8, y(value) + 4, words(value), class_="tick end"),
        )
    )


def seconds_below(x: Scale, y: float) -> Markup:
    """Marks at round times under the chart."""
    return join(text(x(value), y, f"{value:g} s", class_="tick mid") for value in x.ticks(8))


def tick_ms(value: float) -> str:
    """A round duration without the zeros of ``figure_ms``."""
    if value >= 1000:
        return f"{value / 1000:g} s"
    return f"{value:g} ms"


def line(x1: float, y1: float, x2: float, y2: float, *, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, said: str, *, class_: str) -> Markup:
    """Words in a picture."""
    return element("text", said, x=x, y=y, class_=class_)


def nothing_came(top: float, bottom: float) -> Markup:
    """In place of a chart of answers."""
    return text(LEFT + 8, (top + bottom) / 2, "No request brought any content.", class_="note")


def with_title(name: str, title: str, **attributes: str | float | None) -> Markup:
    """A shape that tells its figures when pointed at."""
    return element(name, element("title", title), **attributes)


def span(values: Sequence[float]) -> str:
    """From where to where, for a description."""
    return f"{figure_ms(values[0])} to {figure_ms(values[-1])}"
