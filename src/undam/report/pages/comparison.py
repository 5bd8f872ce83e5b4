"""Page on a comparison: the verdicts, and the ratio of each statistic with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from undam.report.axes import Scale
from undam.report.chart import RIGHT, Table, drawing, figure, line, text, with_title
from undam.report.markup import NO_VALUE, Child, Markup, element, format_ms
from undam.report.page import document, finding_row, section

_LEFT = 190.0
_ROW = 26.0
_TOP = 30.0
# Ratios outside this range are drawn at the edge of the chart.
_LOWEST, _HIGHEST = 0.25, 4.0
_TICKS = (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)
_CLASSES = {"faster": "faster", "fewer": "faster", "slower": "slower", "more": "slower"}
_CAPTION = (
    "A line is the range in which the true ratio B / A lies. A statistic differs if its line does"
    " not contain 1."
)


def render_comparison_page(report: Mapping[str, Any]) -> str:
    """Return the page for the output of `undam compare --json` as one HTML file."""
    rows = [(metric["metric"], row) for metric in report["metrics"] for row in metric["statistics"]]
    drawn = [(name, row) for name, row in rows if row["ratio"]]
    return document(
        f"undam compare: {report['a']} and {report['b']}",
        element("p", f"A is {report['a']}, B is {report['b']}.", class_="sub"),
        element("ul", *_conclusions(report), class_="findings", id="findings"),
        section("Ratio B / A", _chart(drawn)) if drawn else None,
        section("Conditions that differ", element("ul", *_notes(report), class_="findings"))
        if report["notes"]
        else None,
    )


def _conclusions(report: Mapping[str, Any]) -> Iterator[Markup]:
    worse = [f"{row['metric']} {row['statistic']}" for row in report["regressions"]]
    if worse:
        threshold = f"{report['threshold_percent']:g} %"
        yield finding_row("error", "regression", f"worse by more than {threshold}: {_list(worse)}")
    for verdict, kind in (("slower", "warning"), ("more", "warning"), ("faster", "clean"),
                          ("fewer", "clean"), ("faster and slower", "warning")):  # fmt: skip
        names = [one["metric"] for one in report["metrics"] if one["verdict"] == verdict]
        if names:
            yield finding_row(kind, verdict, _list(names))
    unknown = [one["metric"] for one in report["metrics"] if "too little" in one["verdict"]]
    if unknown:
        message = f"too few independent requests for a verdict on {_list(unknown)}"
        yield finding_row("info", "unknown", message)
    if len(unknown) < len(report["metrics"]) and not any(
        one["verdict"] in {*_CLASSES, "faster and slower"} for one in report["metrics"]
    ):
        yield finding_row("clean", "no difference", "No statistic differs beyond the noise.")


def _list(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_per_second", " per second") for name in names)


def _notes(report: Mapping[str, Any]) -> Iterator[Markup]:
    return (finding_row("info", "note", str(note)) for note in report["notes"])


def _chart(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup:
    x = Scale(_LOWEST, _HIGHEST, _LEFT, RIGHT - 30, log=True)
    bottom = _TOP + _ROW * len(rows)
    parts: list[Child] = []
    for tick in _TICKS:
        parts.append(line(x(tick), _TOP - 8, x(tick), bottom, class_="grid"))
        parts.append(text(x(tick), bottom + 20, f"{tick:g}", class_="tick mid"))
    parts.append(line(x(1), _TOP - 8, x(1), bottom, class_="one"))
    for number, (name, row) in enumerate(rows):
        parts += _row(name, row, _TOP + _ROW * (number + 0.5), x)
    description = "; ".join(f"{_name(name, row)}: {row['ratio']:.3f}" for name, row in rows[:8])
    picture = drawing("ratios", bottom + 30, "Ratio of each statistic", description, parts)
    table = [(_name(name, row), *_cells(name, row)) for name, row in rows]
    return figure(picture, _CAPTION, Table(("", "A", "B", "B / A", "within", "verdict"), table))


def _row(name: str, row: Mapping[str, Any], y: float, x: Scale) -> Iterator[Markup]:
    kind = _CLASSES.get(row["verdict"], "same")
    low, high = row["low"], row["high"]
    yield text(_LEFT - 14, y + 4, _name(name, row), class_="tick end")
    if low is not None and high is not None:
        yield line(x(low), y, x(high), y, class_=f"interval {kind}")
    tooltip = f"{_name(name, row)}: {row['ratio']:.3f}, {row['verdict']}"
    yield with_title("circle", tooltip, cx=x(row["ratio"]), cy=y, r=4.5, class_=f"ratio {kind}")


def _name(metric: str, row: Mapping[str, Any]) -> str:
    if metric.endswith("_per_second"):
        return metric.replace("_per_second", "/s")
    statistic = "" if row["statistic"] in {"overall", "share"} else f" {row['statistic']}"
    return f"{metric.upper()}{statistic}" if statistic else metric


def _cells(metric: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["low"], row["high"]
    within = NO_VALUE if low is None or high is None else f"{low:.3f} to {high:.3f}"
    values = (_value(metric, row["a"]), _value(metric, row["b"]))
    return (*values, f"{row['ratio']:.3f}", within, row["verdict"])


def _value(metric: str, value: float) -> str:
    if metric == "failures":
        return f"{100 * value:.2f} %"
    return f"{value:.1f}/s" if metric.endswith("_per_second") else format_ms(value)
