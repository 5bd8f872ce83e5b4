"""HTML page for a load test in a real browser: charts are visible in light and dark mode."""

from __future__ import annotations

import os
from pathlib import Path

from support.devtools import Tab, browser_tab
from support.live import CHAT, Simulator
from support.queue_servers import OPEN_LOOP, open_loop, queueing
from support.random_load_test import ALL_FAULTS, random_load_test
from support.undam_command import run_undam
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import parse_slo, slo_json
from undam.loadtest.setup.slo_values import slo_result
from undam.metrics import compare, parse_run, summarize
from undam.report import render_comparison_page, render_page, render_sweep_page

_CHARTS = {"ttft", "itl", "timeline", "rates", "gaps", "waterfall"}

# JavaScript that returns the width, height and number of visible shapes of each chart.
_BOXES = """
Object.fromEntries([...document.querySelectorAll("svg")].map((svg) => {
  const box = svg.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll("path, rect, circle, line")].filter((shape) => {
    const { width, height } = shape.getBBox();
    return width + height > 0;
  });
  return [svg.id, [box.width, box.height, shapes.length]];
}))
"""

# JavaScript that returns the lowest contrast of text and background (WCAG 2.2, 1.4.3).
_CONTRASTS = """
(() => {
  const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (css) => {
    const [r, g, b] = css.match(/[\\d.]+/g).map(Number);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const of = (node, name) => light(getComputedStyle(document.querySelector(node))[name]);
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const [body, panel] = [of("body", "backgroundColor"), of("figure", "backgroundColor")];
  return { background: body, least: Math.min(
    contrast(of("body", "color"), body), contrast(of(".sub", "color"), body),
    contrast(of("figcaption", "color"), panel), contrast(of("svg .tick", "fill"), panel),
    contrast(of("svg .value", "fill"), panel), contrast(of("figcaption .bad", "color"), panel),
  ) };
})()
"""


def _artefacts() -> Path:
    """Return the folder for screenshots, which are kept for review."""
    named = os.environ.get("UNDAM_ARTEFACTS")
    folder = Path(named) if named else Path(__file__).parents[2] / "build" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _synthetic(folder: Path) -> Path:
    """Write a page for a synthetic run with every failure type and with markup in texts."""
    run = random_load_test(1000, ALL_FAULTS, warmup=20)
    file = folder / "synthetic.html"
    file.write_text(render_page(summarize(run).to_json(), run), encoding="utf-8")
    return file


def _measured(folder: Path, model: Simulator) -> Path:
    """Write a page for a run of 1,000 requests."""
    file = folder / "bench.html"
    url = f"{model.url}{CHAT}?ttft=50&gap=5&tokens=20"
    done = run_undam("bench", url, "-n", "1000", "-c", "100", "--html", str(file))
    # If the machine is busy, the report contains findings, and the exit code is 1.
    assert done.code in {0, 1}, done.err
    return file


def _check(tab: Tab, file: Path, scheme: str) -> float:
    """Check that charts are visible and text is readable; return the background's luminance."""
    tab.scheme(scheme)
    boxes = tab.run(_BOXES)
    assert set(boxes) == _CHARTS
    for name, (width, height, shapes) in boxes.items():
        assert width > 600, name
        assert height > 40, name
        assert shapes >= 2, name
    assert boxes["timeline"][2] > 1000
    contrasts = tab.run(_CONTRASTS)
    assert contrasts["least"] >= 4.5
    tab.screenshot(_artefacts() / f"{file.stem}-{scheme}.png")
    return float(contrasts["background"])


def test_charts_of_1000_requests_in_chromium(tmp_path: Path, model: Simulator) -> None:
    files = [_measured(tmp_path, model), _synthetic(tmp_path)]
    with browser_tab(tmp_path) as tab:
        for file in files:
            assert file.stat().st_size < 2_000_000
            tab.show(file.as_uri())
            assert _check(tab, file, "light") > 0.8
            assert _check(tab, file, "dark") < 0.05
        assert tab.console_errors == []
        assert tab.requested == [file.as_uri() for file in files]


_WIDTHS = (390, 1280)
# The page must not scroll sideways, and no chart may extend beyond its right edge.
_OVERFLOW = """
({
  page: document.documentElement.scrollWidth,
  right: Math.max(0, ...[...document.querySelectorAll("svg")].map(
    (svg) => svg.getBoundingClientRect().right)),
  table: Math.max(0, ...[...document.querySelectorAll(".panel table")].map(
    (table) => table.getBoundingClientRect().right)),
  text: Math.min(...[...document.querySelectorAll("svg text")].map(
    (text) => text.getBoundingClientRect().height)),
})
"""


def _pages(folder: Path) -> list[Path]:
    """Write pages for a run with objectives, a sweep, a search and a comparison."""
    slos = [parse_slo(one) for one in ("ttft_p99<300ms", "errors<1%")]
    runs = []
    for rate in (10, 30, 60):
        results = list(open_loop(queueing(40), rate, 8, seed=rate))
        summary, goodput = summarize(results), Goodput(slos)
        report = summary.to_json(about={"url": "http://x/", "arrivals": "poisson", "seed": rate})
        values = [slo_result(one, summary, goodput, OPEN_LOOP) for one in slos]
        slo = [dict(slo_json(one)) for one in values]
        runs.append((results, {"step": f"{rate}/s", **report, "slo": slo}))
    steps = [report for _, report in runs]
    found = {"searched": "rate", "interval": [30, 60], "confirmed": True, "stopped_by": None}
    compared = compare(*(parse_run(report, f"{report['step']}.json") for report in steps[:2]))
    pages = {
        "run": render_page(steps[2], runs[2][0]),
        "sweep": render_sweep_page({"sweep": steps}),
        "search": render_sweep_page({"sweep": steps, **found}),
        "comparison": render_comparison_page(compared.to_json()),
    }
    files = []
    for name, html in pages.items():
        files.append(folder / f"{name}.html")
        files[-1].write_text(html, encoding="utf-8")
    return files


def test_pages_fit_a_phone_and_a_desktop_in_light_and_dark(tmp_path: Path) -> None:
    files = _pages(tmp_path)
    with browser_tab(tmp_path) as tab:
        for width in _WIDTHS:
            is_phone = width < 700
            tab.call("Emulation.setDeviceMetricsOverride", width=width, height=844,
                     deviceScaleFactor=1, mobile=is_phone)  # fmt: skip
            for file in files:
                tab.show(file.as_uri())
                found = tab.run(_OVERFLOW)
                assert found["page"] <= width, file.name
                assert found["right"] <= width, file.name
                assert found["table"] <= width, file.name
                assert found["text"] >= 8, file.name
                for scheme in ("light", "dark"):
                    tab.scheme(scheme)
                    tab.screenshot(_artefacts() / f"bench-{file.stem}-{width}-{scheme}.png")
        assert tab.console_errors == []
