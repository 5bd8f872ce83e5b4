"""The page of a load test in a real browser: its charts are there, by day and by night."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.devtools import Tab, browser_tab
from support.live import CHAT, Simulator
from support.random_load_test import ALL_FAULTS, random_load_test
from undam.metrics import summarize
from undam.report import page

_CHARTS = {"ttft", "itl", "timeline", "gaps", "waterfall"}

# Width and height of each chart, and how many of its shapes take any room.
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

# Contrast of text and ground (WCAG 2.2, 1.4.3): of words, of soft words, and of a chart's ticks.
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
  return { ground: body, least: Math.min(
    contrast(of("body", "color"), body), contrast(of(".sub", "color"), body),
    contrast(of("figcaption", "color"), panel), contrast(of("svg .tick", "fill"), panel),
    contrast(of("svg .value", "fill"), panel), contrast(of("figcaption .bad", "color"), panel),
  ) };
})()
"""


def _artefacts() -> Path:
    """Where screenshots are kept for people to look at."""
    named = os.environ.get("UNDAM_ARTEFACTS")
    folder = Path(named) if named else Path(__file__).parents[2] / "build" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _made(folder: Path) -> Path:
    """A run in which everything happened, with texts that want to be markup."""
    run = random_load_test(1000, ALL_FAULTS, warmup=20)
    file = folder / "made.html"
    file.write_text(page(summarize(run).to_json(), run), encoding="utf-8")
    return file


def _measured(folder: Path, model: Simulator) -> Path:
    """A thousand real requests."""
    file = folder / "bench.html"
    command = [sys.executable, "-m", "undam", "bench", f"{model.url}{CHAT}?ttft=50&gap=5&tokens=20"]
    done = subprocess.run(
        [*command, "-n", "1000", "-c", "100", "--html", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # Where others keep this machine busy the report has findings, and says so with exit code 1.
    assert done.returncode in {0, 1}, done.stderr
    return file


def _seen(tab: Tab, file: Path, scheme: str) -> float:
    """Every chart has a box and shapes in it, and words can be read; how light the ground is."""
    tab.scheme(scheme)
    boxes = tab.run(_BOXES)
    assert set(boxes) == _CHARTS
    for name, (width, height, shapes) in boxes.items():
        assert width > 600, name
        assert height > 40, name
        assert shapes >= 2, name
    assert boxes["timeline"][2] > 1000
    colours = tab.run(_CONTRASTS)
    assert colours["least"] >= 4.5
    tab.screenshot(_artefacts() / f"{file.stem}-{scheme}.png")
    return float(colours["ground"])


def test_a_thousand_requests_in_chromium(tmp_path: Path, model: Simulator) -> None:
    files = [_measured(tmp_path, model), _made(tmp_path)]
    with browser_tab(tmp_path) as tab:
        for file in files:
            assert file.stat().st_size < 2_000_000
            tab.show(file.as_uri())
            assert _seen(tab, file, "light") > 0.8
            assert _seen(tab, file, "dark") < 0.05
        assert tab.console_errors == []
        assert tab.requested == [file.as_uri() for file in files]
