"""Pages for `undam monitor`: an overview of all targets, and one page per target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undam.report.chart import line
from undam.report.markup import NO_VALUE, Child, Markup, element, join
from undam.report.page import document, finding_row, section
from undam.report.tables import text_table

_DEFINITIONS = (
    "TTFT is the time to the first content of a probe. A change is reported after a second probe"
    " has confirmed it."
)
_WIDTH, _HEIGHT = 240.0, 36.0
_PICTURE_WIDTH, _PICTURE_HEIGHT = 640.0, 34.0
_BAD = {"batched", "late", "held-to-end"}
_MAX_ROWS = 200


def render_overview_page(view: Mapping[str, Any]) -> str:
    """Return the overview page, with one row per target."""
    rows = [_row(one) for one in view["targets"]]
    names = ("target", "verdict", "TTFT, 24 h", "hold by hop", "last change")
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in names)))
    table = element("table", head, element("tbody", *rows), class_="targets")
    return document(
        "undam monitor",
        element("p", f"{len(rows)} targets, {view['at']}", class_="sub"),
        element("div", table, class_="wrapped"),
        footer=_DEFINITIONS,
    )


def _row(one: Mapping[str, Any]) -> Markup:
    name = element("a", str(one["name"]), href=f"target/{one['name']}")
    change = one["last_change"]
    text = NO_VALUE if change is None else f"{change['at']}: {change['text']}"
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", _verdict(one), data_label="verdict"),
        element("td", sparkline(one["ttft_ms"]), data_label="TTFT, 24 h"),
        element("td", _holds(one["holds"]), data_label="hold by hop"),
        element("td", text, class_="words", data_label="last change"),
    )


def _verdict(one: Mapping[str, Any]) -> Markup:
    text = one["error"] or one["verdict"] or "not probed yet"
    is_bad = one["error"] is not None or one["verdict"] in _BAD or bool(one["missed"])
    missed = f" (missed: {', '.join(one['missed'])})" if one["missed"] else ""
    return element("span", text + missed, class_="bad" if is_bad else None)


def _holds(holds: Sequence[tuple[str, float | None]]) -> str:
    known = [f"{name} {ms:.1f} ms" for name, ms in holds if ms is not None]
    return ", ".join(known) or NO_VALUE


def sparkline(points: Sequence[tuple[float, float]]) -> Markup:
    """Return a small chart of the TTFT over time, with the latest value as text."""
    if not points:
        return element("span", NO_VALUE)
    first, last = points[0][0], points[-1][0]
    most = max(value for _, value in points) or 1.0
    marks: list[Child] = []
    for at, value in points:
        x = 2 + (_WIDTH - 4) * ((at - first) / (last - first) if last > first else 1.0)
        y = _HEIGHT - 2 - (_HEIGHT - 6) * value / most
        marks.append(line(x, _HEIGHT - 2, x, y, class_="spike"))
    label = f"{points[-1][1]:.0f} ms, at most {most:.0f} ms in 24 h"
    size = {"viewBox": f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", "width": f"{_WIDTH:.0f}"}
    return join(
        (
            element("svg", join(marks), class_="spark", role="img", aria_label=label, **size),
            label,
        )
    )


def render_target_page(view: Mapping[str, Any]) -> str:
    """Return the page on one target: TTFT, changes (state before and after), and recent probes."""
    probes = view["probes"][-_MAX_ROWS:]
    rows = [
        (one["at"], one["error"] or one["verdict"], _ms(one["ttft_ms"]), _ms(one["hold_ms"]),
         ", ".join(one["findings"]) or NO_VALUE)
        for one in reversed(probes)
    ]  # fmt: skip
    return document(
        f"undam monitor: {view['name']}",
        element("p", f"{view['url']}: {view['error'] or view['verdict'] or 'not probed yet'}",
                class_="sub"),
        section("TTFT, 24 h", sparkline(view["ttft_ms"])),
        section("Last stream", _arrivals(view["arrivals_ms"])),
        section("Changes", *_changes(view["changes"])),
        section("Probes", text_table(("at", "verdict", "TTFT", "hold p99", "findings"), rows)),
        footer=_DEFINITIONS,
    )  # fmt: skip


def _arrivals(times_ms: Sequence[float]) -> Markup:
    """Return one mark per event of the last stream, on a time axis that starts at the request."""
    if not times_ms:
        return element("p", "No event has arrived yet.")
    end = max(times_ms) or 1.0
    marks: list[Child] = [
        line(_PICTURE_WIDTH * at / end, 4, _PICTURE_WIDTH * at / end, 30, class_="one")
        for at in times_ms
    ]
    caption = (
        f"Arrivals of {len(times_ms)} events at the edge, 0 to {end / 1000:.1f} s from the request."
        " Events at the same position arrived together."
    )
    size = {"viewBox": f"-1 0 {_PICTURE_WIDTH + 2:.0f} {_PICTURE_HEIGHT:.0f}"}
    svg = element("svg", join(marks), class_="picture", role="img", aria_label=caption, **size)
    return element("figure", svg, element("figcaption", caption))


def _ms(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:.1f} ms"


def _changes(changes: Sequence[Mapping[str, Any]]) -> Iterable[Child]:
    if not changes:
        yield element("ul", finding_row("clean", "No changes", "No change was confirmed."),
                      class_="findings")  # fmt: skip
    for one in changes:
        yield element("h3", f"since {one['at']}")
        yield element("p", str(one["text"]))
        before, after = dict(one["before"]), dict(one["after"])
        rows = [(key, before.get(key, NO_VALUE), after.get(key, NO_VALUE))
                for key in dict.fromkeys([*before, *after])]  # fmt: skip
        yield element("div", text_table(("", "before", "after"), rows), class_="wrapped")
