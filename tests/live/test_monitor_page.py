"""Pages of a running monitor in Chromium: layout, colour schemes, and no external resources."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from support.devtools import Tab, browser_tab
from support.eventually import eventually
from support.live import CHAT, Simulator
from support.undam_command import ListeningCommand
from undam.monitor.probe_result import HopState, ProbeResult
from undam.monitor.store import StateChange, Store

_LAYOUT = """
({
  page: document.documentElement.scrollWidth,
  ends: Math.max(0, ...[...document.querySelectorAll(".scroll, .picture, .spark, figure")].map(
    (one) => one.getBoundingClientRect().right)),
  hidden: [...document.querySelectorAll(".wrapped, .wrapped .scroll")].filter(
    (one) => one.scrollWidth > one.clientWidth + 1).length,
  marks: document.querySelectorAll("figure svg line").length,
  text: document.body.innerText,
  background: getComputedStyle(document.body).backgroundColor,
})
"""
_LONG = "x-accel-buffering: no, the Server header of edge went from openresty to nginx. " * 4


def artefacts() -> Path:
    """Return the folder for screenshots, which are kept for review."""
    named = os.environ.get("UNDAM_ARTEFACTS")
    folder = Path(named) if named else Path(__file__).parents[2] / "build" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prepare(folder: Path, url: str) -> Path:
    """Write a monitor configuration, and a database with a day of probes and one change."""
    config = folder / "m.toml"
    config.write_text(
        f'[monitor]\nstate = "{folder / "m.db"}"\n'
        f'[[target]]\nname = "chat"\nurl = "{url}{CHAT}?gap=5&tokens=60"\n'
        'objectives = ["ttft_p95<5s"]\ninterval = 600\n'
        '[[target]]\nname = "unreachable.internal.example"\nurl = "http://127.0.0.1:9/v1/x"\n'
    )
    free = HopState("edge", "streaming", server="openresty", headers=("x-accel-buffering: no",))
    held = HopState("edge", "batched", "size", 4096, server="nginx", hold_ms=380.0)
    store = Store(str(folder / "m.db"), 30)
    now_s = config.stat().st_mtime
    for number in range(300):
        hop = free if number < 200 else held
        at_s = now_s - 86_000 + number * 280
        ttft_ms = 200.0 + 10 * (number % 17) + (400 if hop is held else 0)
        store.add_probe(ProbeResult("chat", at_s, hop.verdict, (hop,), True, ttft_ms, hop.hold_ms))
    before = ProbeResult("chat", now_s - 9000, "streaming", (free,), True, 200.0)
    after = ProbeResult("chat", now_s - 8000, "batched", (held,), True, 600.0, 380.0)
    store.add_change(StateChange("chat", now_s - 8000, _LONG, before, after))
    store.close()
    return config


def changes(folder: Path) -> int:
    """Return the number of changes that the monitor has confirmed so far."""
    connection = sqlite3.connect(folder / "m.db")
    ((count,),) = connection.execute("SELECT count(*) FROM changes").fetchall()
    connection.close()
    return int(count)


def assert_readable(tab: Tab, width: int, name: str) -> str:
    """Check the layout in both colour schemes, save screenshots, and return the page's text."""
    backgrounds = set()
    for scheme in ("light", "dark"):
        tab.scheme(scheme)
        found = tab.run(_LAYOUT)
        assert found["page"] <= width, (name, width)
        assert found["ends"] <= width, (name, width)
        assert found["hidden"] == 0, (name, width)
        backgrounds.add(found["background"])
        tab.screenshot(artefacts() / f"monitor-{name}-{width}-{scheme}.png")
    assert len(backgrounds) == 2
    assert name != "target" or found["marks"] > 50
    return str(found["text"])


def test_the_pages_fit_a_phone_and_a_desktop_and_load_nothing(
    model: Simulator, tmp_path: Path
) -> None:
    config = prepare(tmp_path, model.url)
    arguments = ("--config", str(config), "--listen", "127.0.0.1:0")
    monitor = ListeningCommand("monitor", *arguments, log=tmp_path / "log")
    pages = {"overview": f"{monitor.url}/", "target": f"{monitor.url}/target/chat"}
    try:
        eventually(lambda: changes(tmp_path) == 2)
        eventually(lambda: '"error"' in monitor.log_text())
        with browser_tab(tmp_path) as tab:
            for width in (390, 1280):
                tab.call("Emulation.setDeviceMetricsOverride", width=width, height=844,
                         deviceScaleFactor=1, mobile=width < 700)  # fmt: skip
                for name, url in pages.items():
                    tab.show(url)
                    text = assert_readable(tab, width, name)
                    assert "edge streams; before: sends blocks of 4096 bytes" in text
            tab.show(pages["overview"])
            assert tab.run("document.querySelector('tbody a').href") == pages["target"]
            loaded = set(tab.requested) - {f"{monitor.url}/favicon.ico"}
            assert loaded == set(pages.values())
            assert tab.console_errors == []
    finally:
        assert monitor.stop() == 0
