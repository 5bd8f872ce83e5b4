"""Page on an `undam tap` capture: findings first, then each proxy with a picture of one stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undam.report.chart import line
from undam.report.markup import NO_VALUE, Child, Markup, element, format_count, join
from undam.report.page import document, finding_of, finding_row, section
from undam.report.tables import text_table

Picture = Mapping[str, Sequence[float]]
"""Times of the events of one stream in ms from the request, by side: ``in`` and ``out``."""

_WIDTH, _ROW, _LEFT = 640.0, 34.0, 40.0
_DEFINITIONS = (
    "A hold is the time between the last byte of an event on the side of the origin and its last"
    " byte on the side of the client, both from the times of captured packets."
)


def render_capture_page(result: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """Return the page on a capture as one self-contained HTML file.

    Args:
        result: the result of `undam tap --json`.
        pictures: one stream per proxy, by the proxy's address.
    """
    proxies = result["proxies"]
    return document(
        f"undam tap: {result['source']}",
        element("p", _sentence(result), class_="sub"),
        _findings(result["findings"]),
        *(section(str(one["address"]), *_proxy(one, pictures)) for one in proxies),
        footer=_DEFINITIONS,
    )


def _sentence(result: Mapping[str, Any]) -> str:
    text = f"{format_count(result['packets'])} packets, {format_count(result['streams'])} streams"
    return text + (f", {format_count(result['lost'])} gaps" if result["lost"] else "")


def _findings(findings: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [finding_of(one) for one in findings]
    if not rows:
        rows = [finding_row("clean", "No findings", "No proxy held a stream.")]
    return element("ul", *rows, class_="findings", id="findings")


def _proxy(one: Mapping[str, Any], pictures: Mapping[str, Picture]) -> Iterable[Child]:
    process = f" ({one['process']})" if one["process"] else ""
    estimated = ", estimated from encrypted records" if one["estimated"] else ""
    yield element("p", f"{one['verdict']}{process}, {one['streams']} streams{estimated}")
    if (picture := pictures.get(one["address"])) is not None:
        yield _drawing(picture)
    names = {"hold_ms": "hold", "ttft_in_ms": "TTFT before", "ttft_out_ms": "TTFT after"}
    rows = [(name, *_cells(one[key])) for key, name in names.items()]
    yield text_table(("", "p50", "p99", "max"), rows)


def _cells(values: Mapping[str, float] | None) -> tuple[str, str, str]:
    if values is None:
        return NO_VALUE, NO_VALUE, NO_VALUE
    p50, p99, most = (f"{values[key]:.1f} ms" for key in ("p50", "p99", "max"))
    return p50, p99, most


def _drawing(picture: Picture) -> Markup:
    """Return one mark per event and side of the proxy, on a shared time axis."""
    end = max((max(times) for times in picture.values() if times), default=1.0) or 1.0
    marks: list[Child] = []
    for row, (name, times) in enumerate(picture.items()):
        top = 6 + row * _ROW
        marks.append(element("text", name, x=0, y=top + 16, class_="tick"))
        for at in times:
            x = _LEFT + (_WIDTH - _LEFT) * min(1.0, at / end)
            marks.append(line(x, top, x, top + 22, class_="axis"))
    height = 10 + _ROW * len(picture)
    size = {"viewBox": f"0 0 {_WIDTH:.0f} {height:.0f}"}
    caption = f"Events of one stream before (in) and after (out) the proxy, 0 to {end / 1000:.1f} s"
    svg = element("svg", join(marks), role="img", aria_label=caption, **size)
    return element("figure", svg, element("figcaption", caption))
