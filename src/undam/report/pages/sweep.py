"""Page on a sweep or search: the curve of latency against throughput, and each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undam.report.axes import Scale, for_durations, linear
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    drawing,
    duration_rows,
    figure,
    line,
    table,
    text,
    with_title,
)
from undam.report.curve import curve_of
from undam.report.distribution import distribution
from undam.report.markup import NO_VALUE, Child, Markup, element, format_ms, join, px
from undam.report.page import document, finding_row, section
from undam.report.tables import limits_of, objectives

_TOP, _BOTTOM, _HEIGHT = 30.0, 290.0, 336.0
_CAPTION = (
    "Each point is a step. The knee is the step with the highest ratio of throughput to E2E; beyond"
    " it, more load mostly means more waiting."
)


@dataclass(frozen=True, slots=True)
class StepPoint:
    """One load step as a point on the curve.

    Attributes:
        label: load of the step.
        rate: complete responses per second, in the steady state if there is one.
        p50: TTFT p50 in ms.
        p99: TTFT p99 in ms.
        e2e: mean E2E in ms.
        is_met: whether all objectives are met; ``None`` without objectives.
    """

    label: str
    rate: float
    p50: float
    p99: float
    e2e: float
    is_met: bool | None


def render_sweep_page(report: Mapping[str, Any]) -> str:
    """Return the page for an `undam bench --sweep` or `--find-max` result as one HTML file."""
    steps = report["sweep"]
    url = steps[0].get("url") if steps else None
    title = f"undam bench: {url or 'a sweep'}"
    points = step_points(steps)
    return document(
        title,
        element("p", _sentence(report), class_="sub"),
        _result(report),
        section("Latency by throughput", curve_chart(points)) if points else None,
        section("Steps", element("div", table(_steps_table(steps)), class_="panel")),
        *_details(steps),
    )


def step_points(steps: Sequence[Mapping[str, Any]]) -> list[StepPoint]:
    """Return the steps that have a TTFT, ordered by throughput."""
    points = []
    for step in steps:
        ttft, rate = step["ttft_ms"], _rate(step)
        if ttft["p50"] is not None and rate > 0:
            slos = step.get("slo") or ()
            is_met = all(slo["met"] for slo in slos) if slos else None
            e2e = step["e2e_ms"]["mean"] or ttft["p99"]
            points.append(StepPoint(step["step"], rate, ttft["p50"], ttft["p99"], e2e, is_met))
    return sorted(points, key=lambda point: point.rate)


def knee_of(points: Sequence[StepPoint]) -> StepPoint:
    """Return the step with the highest ratio of throughput to latency."""
    return max(points, key=lambda point: point.rate / max(point.e2e, 1e-3))


def curve_chart(points: Sequence[StepPoint]) -> Markup:
    """Return the chart of TTFT p50 and p99 against throughput, with the knee marked."""
    values = sorted(value for point in points for value in (point.p50, point.p99))
    x = linear(points[-1].rate * 1.08, LEFT, RIGHT)
    y = for_durations(values, values[len(values) // 2], _BOTTOM, _TOP)
    knee = knee_of(points)
    parts: list[Child] = [
        duration_rows(y),
        *(text(x(value), _BOTTOM + 18, f"{value:g}/s", class_="tick mid") for value in x.ticks(6)),
        line(x(knee.rate), _TOP, x(knee.rate), _BOTTOM, class_="limit"),
        text(x(knee.rate), _TOP - 10, f"knee: {knee.label}", class_="name mid"),
        _path("itl", [(point.rate, point.p50) for point in points], x, y),
        _path("ttft", [(point.rate, point.p99) for point in points], x, y),
        *(mark for point in points for mark in _marks(point, x, y)),
    ]
    description = "; ".join(
        f"{point.label}: {point.rate:.1f}/s, TTFT p50 {format_ms(point.p50)}, p99 "
        f"{format_ms(point.p99)}"
        for point in points
    )
    caption = join(
        [
            element("span", element("i", class_="key k-p99"), " TTFT p99", class_="legend"),
            element("span", element("i", class_="key k-p50"), " TTFT p50", class_="legend"),
            _CAPTION,
        ]
    )
    rows = [
        (point.label, f"{point.rate:.1f}/s", format_ms(point.p50), format_ms(point.p99))
        for point in points
    ]
    picture = drawing("throughput", _HEIGHT, "TTFT by throughput", description, parts)
    return figure(picture, caption, Table(("step", "complete", "TTFT p50", "TTFT p99"), rows))


def _path(name: str, values: Sequence[tuple[float, float]], x: Scale, y: Scale) -> Markup:
    points = "L".join(f"{px(x(rate))} {px(y(value))}" for rate, value in values)
    return element("path", d=f"M{points}", class_=f"curve {name}")


def _marks(point: StepPoint, x: Scale, y: Scale) -> Iterator[Markup]:
    for name, value, label in (("itl", point.p50, "p50"), ("ttft", point.p99, "p99")):
        missed = " missed" if point.is_met is False else ""
        tooltip = f"{point.label}: {point.rate:.1f}/s, TTFT {label} {format_ms(value)}{missed}"
        place = {"cx": x(point.rate), "cy": y(value), "r": 4.5}
        yield with_title("circle", tooltip, class_=f"mark {name}{missed}", **place)


def _sentence(report: Mapping[str, Any]) -> str:
    steps = report["sweep"]
    kind = "search" if "interval" in report else "sweep"
    requests = sum(step["requests"] for step in steps)
    return f"{kind} with {len(steps)} steps, {requests} requests"


def _result(report: Mapping[str, Any]) -> Markup | None:
    """Return the interval to which a search was narrowed; ``None`` for a sweep."""
    if "interval" not in report:
        return None
    met, missed = report["interval"]
    unit = "/s" if report["searched"] == "rate" else " in flight"
    if met is None:
        verdict, kind = "No load met the objectives.", "error"
    elif missed is None:
        verdict, kind = f"{met:g}{unit} met the objectives, and no load missed them.", "info"
    else:
        verdict = f"The capacity is between {met:g}{unit} and {missed:g}{unit}."
        kind = "clean" if report["confirmed"] else "warning"
    tag = "confirmed" if report["confirmed"] else "not confirmed"
    if report["stopped_by"]:
        tag, kind = "stopped by delays of the load generator", "warning"
    return element("ul", finding_row(kind, tag, verdict), class_="findings")


def _rate(step: Mapping[str, Any]) -> float:
    steady = (step.get("steady") or {}).get("requests_per_second")
    return float(step["requests_per_second"] if steady is None else steady)


def _steps_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for step in steps:
        slos = step.get("slo") or ()
        verdict = ("met" if all(slo["met"] for slo in slos) else "missed") if slos else NO_VALUE
        times = (_ms(step["ttft_ms"]["p50"]), _ms(step["ttft_ms"]["p99"]))
        failed = step["errors"] + step["incomplete"]
        rows.append((step["step"], f"{_rate(step):.1f}/s", *times, str(failed), verdict))
    return Table(("step", "complete", "TTFT p50", "p99", "failed", "slo"), rows)


def _ms(value: float | None) -> str:
    return NO_VALUE if value is None else format_ms(value).replace(" ", "\u202f")


def _details(steps: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """Yield a section for each step, with its objectives and its TTFT distribution."""
    for number, step in enumerate(steps):
        curve = curve_of(step, "ttft")
        limits = limits_of(step, "ttft")
        yield section(
            f"Step {number + 1}: {step['step']}",
            objectives(step),
            None
            if curve is None
            else distribution("ttft", "TTFT", curve, limits=limits, key=f"step{number + 1}"),
        )
