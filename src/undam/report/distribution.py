"""Percentile chart of a distribution, on an axis that is linear in nines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from undam.report.axes import (
    Scale,
    for_durations,
    percentile_label,
    percentile_position,
    percentile_ticks,
)
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    drawing,
    duration_rows,
    figure,
    line,
    span,
    text,
    with_title,
)
from undam.report.curve import Curve, nines
from undam.report.markup import (
    Child,
    Markup,
    element,
    format_count,
    format_ms,
    join,
    px,
)

_TOP, _BOTTOM = 24.0, 262.0
_HEIGHT = 292.0
_POINTS = 240
_NEAR_LIMIT = 2.0
# Width of the longest axis label, with a margin.
_LABEL = 60.0

MARKED = (0.5, 0.9, 0.99, 0.999)
"""Percentiles with a label in the chart."""


def distribution(
    name: str,
    title: str,
    curve: Curve,
    bounds: tuple[Curve, Curve] | None = None,
    limits: Sequence[tuple[str, float]] = (),
    *,
    key: str = "",
) -> Markup:
    """Return the chart for a distribution of durations.

    Args:
        name: short name, used as the CSS class of the color.
        title: name of the metric.
        bounds: lower and upper bounds, drawn as a band.
        limits: objectives and their limits in ms, drawn as lines.
        key: unique ID of the chart; "" uses the name.
    """
    n = curve.count
    qs = _quantiles(n)
    values = curve.at(qs)
    low = high = values
    if bounds is not None:
        low, high = bounds[0].at(qs), bounds[1].at(qs)
    # A limit far above all values would flatten the curve against the axis.
    near = [limit for _, limit in limits if values[-1] < limit < _NEAR_LIMIT * values[-1]]
    y = for_durations(sorted((*values, *high, *near)), curve.at([0.5])[0], _BOTTOM, _TOP)
    parts: list[Child] = [duration_rows(y), _percentiles(n)]
    if bounds is not None:
        back = reversed(_points(qs, low, n, y))
        band = _path(_points(qs, high, n, y)) + "L" + _path(back)[1:] + "Z"
        parts.append(element("path", d=band, class_="band"))
    parts.append(element("path", d=_path(_points(qs, values, n, y)), class_=f"curve {name}"))
    parts += _limits(limits, y)
    parts += _marks(name, curve, y)
    picture = drawing(
        key or name, _HEIGHT, f"{title} by percentile", _description(values, curve), parts
    )
    return figure(picture, _caption(n, bounds is not None, y.log), _numbers(curve, bounds))


def _limits(limits: Sequence[tuple[str, float]], y: Scale) -> list[Child]:
    parts: list[Child] = []
    for label, limit in limits:
        if y.low <= limit <= y.high:
            parts.append(line(LEFT, y(limit), RIGHT, y(limit), class_="limit"))
            parts.append(text(LEFT + 6, y(limit) - 5, label, class_="tick bad"))
    return parts


def _quantiles(n: int) -> list[float]:
    """Return quantiles at equal intervals on the axis, up to the maximum."""
    far = nines(1.0, n) or 1.0
    return [1.0 - 10 ** (-far * i / _POINTS) for i in range(_POINTS)] + [1.0]


def _points(
    qs: Sequence[float], values: Sequence[float], n: int, y: Scale
) -> list[tuple[float, float]]:
    return [
        (percentile_position(q, n, LEFT, RIGHT), y(value))
        for q, value in zip(qs, values, strict=True)
    ]


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points)


def _percentiles(n: int) -> Markup:
    parts = []
    for q in percentile_ticks(n):
        x = percentile_position(q, n, LEFT, RIGHT)
        parts.append(line(x, _TOP, x, _BOTTOM, class_="grid"))
        label = percentile_label(q) if q else "min"
        anchor = "end" if x > RIGHT - _LABEL / 2 else "mid"
        parts.append(text(x, _BOTTOM + 18, label, class_=f"tick {anchor}"))
    if all(RIGHT - percentile_position(q, n, LEFT, RIGHT) > _LABEL for q in percentile_ticks(n)):
        parts.append(text(RIGHT, _BOTTOM + 18, "max", class_="tick end"))
    return join(parts)


def _marks(name: str, curve: Curve, y: Scale) -> list[Child]:
    parts: list[Child] = []
    n = curve.count
    shown = [q for q in MARKED if q in percentile_ticks(n)] + [1.0]
    for q, value in zip(shown, curve.at(shown), strict=True):
        x = percentile_position(q, n, LEFT, RIGHT)
        label = percentile_label(q) if q < 1 else "maximum"
        tooltip = f"{label}: {format_ms(value)}"
        parts.append(
            with_title("circle", tooltip, cx=x, cy=y(value), r=3.6, class_=f"mark {name}"),
        )
        # The curve rises to the right, so only the upper left corner is free.
        parts.append(
            text(max(x - 6, LEFT + _LABEL), y(value) - 8, format_ms(value), class_="value end")
        )
    return parts


def _description(values: Sequence[float], curve: Curve) -> str:
    pairs = zip(MARKED, curve.at(MARKED), strict=True)
    marks = ", ".join(f"{percentile_label(q)} {format_ms(value)}" for q, value in pairs)
    return f"{span(values)}: {marks}, maximum {format_ms(values[-1])}"


def _caption(n: int, bounded: bool, log: bool) -> Markup:
    parts: list[Child] = [f"{format_count(n)} values, all included. The axis expands the tail"]
    parts.append("; durations on a logarithmic scale." if log else ".")
    if bounded:
        parts.append(element("span", class_="key band"))
        parts.append(
            " Band: bounds of gaps that are uncertain because the load generator was late."
        )
    return join(parts)


def _numbers(curve: Curve, bounds: tuple[Curve, Curve] | None) -> Table:
    listed = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0)
    tail = {0.999, 0.9999} - set(percentile_ticks(curve.count))
    shown = [q for q in listed if q not in tail]
    curves = (curve, *(bounds or ()))
    columns = zip(*(one.at(shown) for one in curves), strict=True)
    rows = [
        ({0.0: "min", 1.0: "max"}.get(q, percentile_label(q)), *(format_ms(v) for v in values))
        for q, values in zip(shown, columns, strict=True)
    ]
    return Table(("percentile", "value", "at least", "at most")[: 1 + len(curves)], rows)
