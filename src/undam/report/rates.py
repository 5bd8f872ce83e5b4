"""Load over time: offered and served requests, and tokens per second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from undam.report.axes import Scale, linear
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    drawing,
    figure,
    rate_rows,
    seconds_below,
    text,
)
from undam.report.markup import Child, Markup, element, format_count, join, px

_TOP, _BOTTOM = 26.0, 150.0
_TOKENS_TOP, _TOKENS_BOTTOM = 194.0, 280.0
_HEIGHT = 308.0
# In shorter time spans, random arrivals would dominate.
_MAX_SPANS = 40


class LoadSpan(NamedTuple):
    """Rates per second in one time span; times are in seconds since the first request."""

    start_s: float
    end_s: float
    offered: float
    served: float
    tokens: float
    in_flight: int


def load_spans(summary: Mapping[str, Any]) -> list[LoadSpan]:
    """Return the load in at most forty time spans; empty if the summary has no load over time."""
    load = summary.get("load_over_time") or {}
    rows = [dict(zip(load["columns"], row, strict=True)) for row in load.get("rows", ())]
    if not rows:
        return []
    width_s = load["width_ms"] / 1000
    each = -(-len(rows) // _MAX_SPANS)
    spans = []
    for i in range(0, len(rows), each):
        group = rows[i : i + each]
        length_s = width_s * len(group)
        start_s = (group[0]["at_ms"] - rows[0]["at_ms"]) / 1000
        offered, served, tokens = (
            sum(row[name] for row in group) / length_s for name in ("offered", "served", "tokens")
        )
        in_flight = group[-1]["in_flight"]
        spans.append(LoadSpan(start_s, start_s + length_s, offered, served, tokens, in_flight))
    return spans


def rates(summary: Mapping[str, Any]) -> Markup | None:
    """Return the chart of rates; ``None`` if the summary has no load over time."""
    spans = load_spans(summary)
    if not spans:
        return None
    x = linear(spans[-1].end_s, LEFT, RIGHT)
    requests = linear(max(max(s.offered, s.served) for s in spans) * 1.08, _BOTTOM, _TOP)
    tokens = linear(max(s.tokens for s in spans) * 1.08, _TOKENS_BOTTOM, _TOKENS_TOP)
    parts: list[Child] = [
        text(LEFT, 14, "Requests per second", class_="name"),
        rate_rows(requests),
        _steps("offered", [(s, s.offered) for s in spans], x, requests),
        _steps("served", [(s, s.served) for s in spans], x, requests),
        text(LEFT, _TOKENS_TOP - 12, "Tokens per second, by the end of a response", class_="name"),
        rate_rows(tokens),
        _steps("tokens", [(s, s.tokens) for s in spans], x, tokens),
        seconds_below(x, _HEIGHT - 6),
    ]  # fmt: skip
    offered, served = (summary.get(name) for name in ("offered_per_second", "served_per_second"))
    description = f"offered {offered}/s, served {served}/s, in {len(spans)} spans of time"
    caption = join(
        [
            element("span", element("i", class_="key k-offered"), " started", class_="legend"),
            element("span", element("i", class_="key k-served"), " complete", class_="legend"),
            "Warm-up requests are included, because the server had to serve them, too.",
        ]
    )
    picture = drawing("rates", _HEIGHT, "Load over time", description, parts)
    return figure(picture, caption, _numbers(spans))


def _steps(name: str, values: Sequence[tuple[LoadSpan, float]], x: Scale, y: Scale) -> Markup:
    path = "".join(
        f"{'L' if i else 'M'}{px(x(span.start_s))} {px(y(value))}H{px(x(span.end_s))}"
        for i, (span, value) in enumerate(values)
    )
    return element("path", d=path, class_=f"curve {name}")


def _numbers(spans: Sequence[LoadSpan]) -> Table:
    rows = [
        (
            f"{span.start_s:.1f} s",
            f"{span.offered:.1f}/s",
            f"{span.served:.1f}/s",
            format_count(span.tokens),
            format_count(span.in_flight),
        )
        for span in spans
    ]
    return Table(("from", "started", "complete", "tokens/s", "in flight at the end"), rows)
