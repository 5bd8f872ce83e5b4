"""The server's queue, running requests and cache use, on the time axis of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undam.report.axes import Scale, linear
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    count_rows,
    drawing,
    figure,
    rate_rows,
    seconds_below,
    text,
)
from undam.report.markup import NO_VALUE, Child, Markup, element, format_count, join, px

_TOP, _BOTTOM = 26.0, 150.0
_CACHE_TOP, _CACHE_BOTTOM = 194.0, 270.0
_HEIGHT = 298.0
_TABLE_ROWS = 20

Points = Sequence[tuple[float, float]]


def server_chart(summary: Mapping[str, Any]) -> Markup | None:
    """Return the chart of server metrics; ``None`` if the metrics were not read."""
    server = summary.get("server") or {}
    rows = [dict(zip(server["columns"], row, strict=True)) for row in server.get("rows", ())]
    rows = [row for row in rows if row["at_ms"] >= 0]
    if not rows:
        return None
    waiting, running, cache = (_points(rows, kind) for kind in ("waiting", "running", "kv_usage"))
    # The axis ends where the timeline's axis ends, so that both charts can be compared.
    end_s = max(float(summary.get("duration_s") or 0), rows[-1]["at_ms"] / 1000)
    x = linear(end_s, LEFT, RIGHT)
    most = max((value for _, value in (*waiting, *running)), default=0.0)
    y = linear(most * 1.08, _BOTTOM, _TOP)
    percent = linear(100.0, _CACHE_BOTTOM, _CACHE_TOP)
    parts: list[Child] = [
        text(LEFT, 14, "Requests in the server", class_="name"),
        count_rows(y),
        _line("served", running, x, y),
        _line("offered", waiting, x, y),
        text(LEFT, _CACHE_TOP - 12, "KV cache in use, %", class_="name"),
        rate_rows(percent),
        _line("tokens", [(at, 100 * value) for at, value in cache], x, percent),
        seconds_below(x, _HEIGHT - 6),
    ]
    description = (
        f"{server['engine']}: at most {_count(server.get('waiting_max'))} waiting, "
        f"{_count(server.get('running_max'))} running"
    )
    caption = join(
        [
            element("span", element("i", class_="key k-offered"), " waiting", class_="legend"),
            element("span", element("i", class_="key k-served"), " running", class_="legend"),
            f"Published by the server ({server['engine']}).",
        ]
    )
    step = -(-len(rows) // _TABLE_ROWS)
    table = Table(("at", "waiting", "running", "KV cache"), [_cells(row) for row in rows[::step]])
    return figure(drawing("server", _HEIGHT, "The server", description, parts), caption, table)


def _points(rows: Sequence[Mapping[str, Any]], kind: str) -> list[tuple[float, float]]:
    return [(row["at_ms"] / 1000, row[kind]) for row in rows if row[kind] is not None]


def _line(name: str, points: Points, x: Scale, y: Scale) -> Markup | None:
    if not points:
        return None
    path = "L".join(f"{px(x(at))} {px(y(value))}" for at, value in points)
    return element("path", d=f"M{path}", class_=f"curve {name}")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    usage = row["kv_usage"]
    return (
        f"{row['at_ms'] / 1000:.1f} s",
        _count(row["waiting"]),
        _count(row["running"]),
        NO_VALUE if usage is None else f"{100 * usage:.0f} %",
    )


def _count(value: float | None) -> str:
    return NO_VALUE if value is None else format_count(value)
