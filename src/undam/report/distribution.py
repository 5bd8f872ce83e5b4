"""A distribution by percentile: half of what is left with each step to the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from undam.report.axes import (
    Scale,
    for_durations,
    percentile_label,
    percentile_place,
    percentile_ticks,
)
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    drawing,
    figure,
    line,
    span,
    text,
    time_rows,
    with_title,
)
from undam.report.markup import Child, Markup, count, element, escape, figure_ms, join, number
from undam.timing import quantile

_TOP, _BOTTOM = 24.0, 262.0
_HEIGHT = 292.0
_POINTS = 240

MARKED = (0.5, 0.9, 0.99, 0.999)
"""The percentiles whose values stand in the picture."""


def distribution(name: str, what: str, high: Sequence[float], low: Sequence[float] = ()) -> Markup:
    """The chart of these durations.

    Args:
        name: short and unique; it becomes an id and the colour's class.
        what: is shown, in words.
        high: milliseconds in ascending order, not empty.
        low: what each might have been at least, in ascending order; a band shows the difference.
    """
    y = for_durations(high, quantile(high, 0.5), _BOTTOM, _TOP)
    parts: list[Child] = [time_rows(y), _percentiles(len(high))]
    if low:
        parts.append(element("path", d=_band(low, high, y), class_="band"))
        parts.append(element("path", d=_path(low, y), class_=f"curve bound {name}"))
    parts.append(element("path", d=_path(high, y), class_=f"curve {name}"))
    parts += _marks(name, high, y)
    title = f"{what} by percentile"
    said = (
        ", ".join(f"{percentile_label(q)} {figure_ms(quantile(high, q))}" for q in MARKED)
        + f", maximum {figure_ms(high[-1])}"
    )
    picture = drawing(name, _HEIGHT, title, f"{span(high)}: {said}", parts)
    return figure(picture, _caption(len(high), bool(low), y.log), _numbers(high, low))


def _quantiles(n: int) -> list[float]:
    """Evenly along the axis, the last at the maximum."""
    nines = math.log10(n) if n > 1 else 1.0
    return [1.0 - 10 ** (-nines * i / _POINTS) for i in range(_POINTS)] + [1.0]


def _points(values: Sequence[float], y: Scale) -> list[tuple[float, float]]:
    n = len(values)
    return [(percentile_place(q, n, LEFT, RIGHT), y(quantile(values, q))) for q in _quantiles(n)]


def _path(values: Sequence[float], y: Scale) -> str:
    return "M" + "L".join(f"{number(px)} {number(py)}" for px, py in _points(values, y))


def _band(low: Sequence[float], high: Sequence[float], y: Scale) -> str:
    back = reversed(_points(low, y))
    return _path(high, y) + "".join(f"L{number(px)} {number(py)}" for px, py in back) + "Z"


def _percentiles(n: int) -> Markup:
    parts = []
    for q in percentile_ticks(n):
        x = percentile_place(q, n, LEFT, RIGHT)
        parts.append(line(x, _TOP, x, _BOTTOM, class_="grid"))
        label = percentile_label(q) if q else "min"
        parts.append(text(x, _BOTTOM + 18, label, class_="tick mid"))
    if all(RIGHT - percentile_place(q, n, LEFT, RIGHT) > 30 for q in percentile_ticks(n)):
        parts.append(text(RIGHT, _BOTTOM + 18, "max", class_="tick end"))
    return join(parts)


def _marks(name: str, values: Sequence[float], y: Scale) -> list[Child]:
    parts: list[Child] = []
    n = len(values)
    for q in (*(q for q in MARKED if q in percentile_ticks(n)), 1.0):
        value = quantile(values, q)
        x = percentile_place(q, n, LEFT, RIGHT)
        label = percentile_label(q) if q < 1 else "maximum"
        parts.append(
            with_title(
                "circle", f"{label}: {figure_ms(value)}", cx=x, cy=y(value), r=3.6,
                class_=f"mark {name}",
            )
        )  # fmt: skip
        # Above the curve, whose slope is upwards, only the left is free.
        parts.append(text(x - 6, y(value) - 8, figure_ms(value), class_="value end"))
    return parts


def _caption(n: int, bounded: bool, log: bool) -> Markup:
    words = [escape(f"{count(n)} values, none dropped. The axis stretches the tail")]
    words.append(escape("; durations by powers of ten." if log else "."))
    if bounded:
        words.append(element("span", class_="key band"))
        words.append(
            escape(
                " Band: where this client was late, gaps are only known to lie within it."
                " The upper edge is what is reported."
            )
        )
    return join(words)


def _numbers(high: Sequence[float], low: Sequence[float]) -> Table:
    rows = []
    for q in (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0):
        if q in {0.999, 0.9999} and q not in percentile_ticks(len(high)):
            continue
        label = {0.0: "min", 1.0: "max"}.get(q, percentile_label(q))
        bounds = (figure_ms(quantile(low, q)),) if low else ()
        rows.append((label, figure_ms(quantile(high, q)), *bounds))
    head = ("percentile", "value", "at least") if low else ("percentile", "value")
    return Table(head, rows)
