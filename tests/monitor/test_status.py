"""`undam monitor status` and `log`; the service's reloads, on-demand probes and pages."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.undam_command import invoke
from undam.errors import UsageError
from undam.monitor.probe_result import HopState, ProbeResult
from undam.monitor.service import MonitorService, Pages
from undam.monitor.settings import MonitorSettings, parse_settings
from undam.monitor.store import StateChange, Store
from undam.monitor.web import Asked, WebAnswer
from undam.report import render_overview_page, render_target_page

FREE = HopState("edge", "streaming", server="openresty")
HELD = HopState("edge", "batched", "size", 4096, server="nginx", hold_ms=380.0)
TEXT = """
[[target]]
name = "chat"
url = "https://user:hunter22@chat.example/v1/chat/completions?api_key=abcdefgh"
objectives = ["ttft_p95<800ms"]
probes_per_day = 2
[[target]]
name = "other"
url = "http://127.0.0.1:9/v1/chat/completions"
"""


def probe(name: str, hop: HopState, at_s: float = 2_000_000_000.0) -> ProbeResult:
    return ProbeResult(name, at_s, hop.verdict, (hop,), True, 520.0, hop.hold_ms,
                       codes=("UD102",) if hop is HELD else (), arrivals_ms=(520.0, 545.0),
                       fixes=("nginx: proxy_buffering off;",))  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration whose database contains a change for the first target."""
    path = tmp_path / "m.toml"
    path.write_text(f'[monitor]\nstate = "{tmp_path / "m.db"}"\n{TEXT}')
    store = Store(str(tmp_path / "m.db"), 30)
    before, after = probe("chat", FREE), probe("chat", HELD)
    store.add_probe(before)
    store.add_probe(after)
    store.add_change(StateChange("chat", after.at_s, "edge sends blocks", before, after))
    store.close()
    return path


def test_the_status_has_the_last_probe_missed_objectives_and_the_last_change(config: Path) -> None:
    result = invoke("monitor", "--config", str(config), "status", "--json")
    assert result.code == 1
    chat, other = result.json["targets"]
    assert (chat["verdict"], chat["ttft_ms"], chat["hold_ms"]) == (
        "batched",
        520.0,
        {"edge": 380.0},
    )
    assert chat["missed"] == ["verdict=streaming"]
    assert chat["last_change"]["text"] == "edge sends blocks"
    assert chat["fixes"] == ["nginx: proxy_buffering off;"]
    assert (other["verdict"], other["at"], other["last_change"]) == (None, None, None)
    assert "hunter22" not in result.out
    assert "abcdefgh" not in result.out
    text = invoke("monitor", "--config", str(config), "status", "--target", "chat")
    assert text.out == (
        "chat: batched at 2033-05-18T03:33:20Z, TTFT 520 ms; missed: verdict=streaming; since"
        " 2033-05-18T03:33:20Z: edge sends blocks\n"
    )
    assert "other: not probed yet" in invoke("monitor", "--config", str(config), "status").out


def test_an_unknown_target_is_reported(config: Path) -> None:
    with pytest.raises(UsageError, match="no target with this name"):
        invoke("monitor", "--config", str(config), "status", "--target", "chats")


@pytest.mark.parametrize("command", ["status", "log"])
@pytest.mark.parametrize("content", [None, b"this is not a database" * 100])
def test_reading_neither_creates_nor_repairs_a_database(
    tmp_path: Path, command: str, content: bytes | None
) -> None:
    config = tmp_path / "m.toml"
    config.write_text(f'[monitor]\nstate = "{tmp_path / "m.db"}"\n{TEXT}')
    if content is not None:
        (tmp_path / "m.db").write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"cannot read the database .*a monitor creates it"):
        invoke("monitor", "--config", str(config), command)
    assert sorted(tmp_path.iterdir()) == before


def test_the_log_has_changes_with_their_fixes(config: Path) -> None:
    (change,) = invoke("monitor", "--config", str(config), "log", "--json").json["changes"]
    assert (change["target"], change["fixes"]) == ("chat", ["nginx: proxy_buffering off;"])


class RunningService:
    """Monitor service with a fake probe; the service's log lines are kept."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        self.folder = folder
        store = Store(str(folder / "m.db"), 30)
        pages = Pages(render_overview_page, render_target_page)
        self.service = MonitorService(
            self.settings(TEXT), store, pages, lambda line: self.lines.append(json.loads(line))
        )

        async def fake(target: Any) -> ProbeResult:
            return probe(target.name, FREE, self.service.scheduler.clock())

        self.service.scheduler.probe = fake

    def settings(self, text: str) -> MonitorSettings:
        return parse_settings(text, str(self.folder / "m.toml"), {})

    def get(self, path: str, **query: str) -> WebAnswer:
        return asyncio.run(self.service.answer(Asked(path, query, "")))


def test_probes_on_request_obey_the_budget(tmp_path: Path) -> None:
    running = RunningService(tmp_path)
    answers = [running.get("/probe", target="chat") for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 503]
    assert b'undam_up{target="chat"} 1.0' in answers[0].body
    assert b"no probe is possible now" in answers[2].body
    assert running.get("/probe", target="nobody").status == 404
    metrics = running.get("/metrics").body.decode()
    assert 'undam_budget_left_probes{period="day",target="chat"} 0.0' in metrics
    assert 'undam_objective_met{objective="ttft_p95<800ms",target="chat"} 1.0' in metrics


def test_a_reload_removes_targets_and_keeps_spending(tmp_path: Path) -> None:
    running = RunningService(tmp_path)
    for name in ("chat", "other"):
        assert running.get("/probe", target=name).status == 200
    only = TEXT[: TEXT.rindex("[[target]]")]
    running.service.use(running.settings(f'[monitor]\nstate = "elsewhere.db"\n{only}'))
    kinds = [(one["kind"], one.get("text")) for one in running.lines]
    assert ("problem", "changes to state and retention_days take effect after a restart") in kinds
    assert kinds[-1][0] == "reloaded"
    metrics = running.get("/metrics").body.decode()
    assert 'target="other"' not in metrics
    assert 'undam_up{target="chat"}' in metrics
    assert [running.get("/probe", target="chat").status for _ in range(2)] == [200, 503]
    assert running.get("/target/other").status == 404


def test_pages_show_no_credentials(tmp_path: Path) -> None:
    running = RunningService(tmp_path)
    running.get("/probe", target="chat")
    for path in ("/", "/target/chat"):
        page = running.get(path)
        assert page.status == 200
        assert b"chat.example" in page.body or path == "/"
        assert b"hunter22" not in page.body
        assert b"abcdefgh" not in page.body
    assert b"Arrivals of 2 events" in running.get("/target/chat").body
    assert running.get("/healthz").body == b"ok\n"


def test_200_targets_are_on_one_page(tmp_path: Path) -> None:
    running = RunningService(tmp_path)
    (first, _) = running.service.scheduler.settings.targets
    many = tuple(replace(first, name=f"target-{number}") for number in range(200))
    running.service.use(MonitorSettings(many))
    body = running.get("/").body
    assert body.count(b'href="target/') == 200
