"""`undam monitor` on a real nginx: a reload that turns buffering on is reported exactly once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from support.eventually import eventually
from support.live import RunProxy, Simulator
from support.undam_command import ListeningCommand, command_line, environment, run_undam
from undam.lab.proxies import start_nginx

FREE = "proxy_buffering off;"


def configuration(path: Path, url: str, interval: float = 1) -> Path:
    path.write_text(
        f'[monitor]\nstate = "{path.parent / "m.db"}"\n[[target]]\nname = "chat"\n'
        f'url = "{url}/v1/chat/completions?gap=10"\ninterval = {interval}\n'
        'objectives = ["ttft_p95<5s", "complete>=99%"]\n'
    )
    return path


def start_monitor(config: Path, log: Path) -> ListeningCommand:
    arguments = ("--config", str(config), "--listen", "127.0.0.1:0")
    return ListeningCommand("monitor", *arguments, log=log)


def rows(log: str, kind: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [one for one in lines if one["kind"] == kind]


def test_a_reload_that_turns_buffering_on_and_off_is_reported_once_each(
    model: Simulator, run_proxy: RunProxy, tmp_path: Path
) -> None:
    proxy = run_proxy(start_nginx, model.url, location=FREE)
    config = configuration(tmp_path / "m.toml", proxy.url)
    log = tmp_path / "log"
    monitor = ListeningCommand(
        "monitor", "--config", str(config), "--listen", "127.0.0.1:0", log=log
    )
    nginx_conf = proxy.directory / "nginx.conf"
    free = nginx_conf.read_text()
    try:
        eventually(lambda: len(rows(monitor.log_text(), "probe")) >= 2)
        nginx_conf.write_text(free.replace(FREE, ""))
        os.kill(proxy.pid, signal.SIGHUP)
        eventually(lambda: rows(monitor.log_text(), "change") != [])
        nginx_conf.write_text(free)
        os.kill(proxy.pid, signal.SIGHUP)
        eventually(lambda: len(rows(monitor.log_text(), "change")) >= 2)
        before = len(rows(monitor.log_text(), "probe"))
        eventually(lambda: len(rows(monitor.log_text(), "probe")) >= before + 3)
        held, freed = rows(monitor.log_text(), "change")
        assert str(held["text"]).startswith("edge sends blocks of 4096 bytes; before: streams")
        assert (held["verdict"], "UD102" in held["findings"]) == ("batched", True)  # type: ignore[operator]
        assert any("proxy_buffering off" in str(one) for one in held["fixes"])  # type: ignore[attr-defined]
        assert str(freed["text"]).startswith("edge streams; before: sends blocks of 4096 bytes")
        assert_served(monitor.url)
    finally:
        code = monitor.stop()
    assert code == 0
    printed = run_undam("monitor", "--config", str(config), "log", "--json").json
    assert [one["verdict"] for one in printed["changes"]] == ["streaming", "batched"]


def assert_served(url: str) -> None:
    """Assert that the metrics, the pages and an on-demand probe work."""
    accept = {"Accept": "application/openmetrics-text"}
    with urlopen(Request(f"{url}/metrics", headers=accept), timeout=10) as response:
        text = response.read().decode()
    parsed = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    (changes,) = [one for one in parsed if one.name == "undam_changes"]
    assert [one.value for one in changes.samples if one.name.endswith("_total")] == [2.0]
    with urlopen(f"{url}/probe?target=chat", timeout=30) as response:
        assert 'undam_up{target="chat"} 1.0' in response.read().decode()
    with urlopen(f"{url}/", timeout=10) as response:
        assert "chat" in response.read().decode()
    with urlopen(f"{url}/target/chat", timeout=10) as response:
        assert "sends blocks of 4096 bytes" in response.read().decode()


def test_a_wrong_configuration_on_sighup_keeps_the_old_one(
    model: Simulator, tmp_path: Path
) -> None:
    config = configuration(tmp_path / "m.toml", model.url)
    log = tmp_path / "log"
    monitor = ListeningCommand(
        "monitor", "--config", str(config), "--listen", "127.0.0.1:0", log=log
    )
    try:
        eventually(lambda: rows(monitor.log_text(), "probe") != [])
        config.write_text("[[target]]\nname = 3\n")
        monitor.signal(signal.SIGHUP)
        eventually(lambda: rows(monitor.log_text(), "problem") != [])
        (problem,) = rows(monitor.log_text(), "problem")
        assert "the configuration was not changed" in str(problem["text"])
        count = len(rows(monitor.log_text(), "probe"))
        eventually(lambda: len(rows(monitor.log_text(), "probe")) > count)
    finally:
        assert monitor.stop() == 0


def test_once_exits_with_1_if_an_objective_is_missed(
    model: Simulator, run_proxy: RunProxy, tmp_path: Path
) -> None:
    held = run_proxy(start_nginx, model.url)
    for url, code in ((model.url, 0), (held.url, 1)):
        (tmp_path / "m.db").unlink(missing_ok=True)
        config = configuration(tmp_path / "m.toml", url)
        result = run_undam("monitor", "--config", str(config), "--once")
        assert result.code == code, result.out
    assert "missed: verdict=streaming" in result.out


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_reported_probe(model: Simulator, tmp_path: Path) -> None:
    config = configuration(tmp_path / "m.toml", model.url)
    command = command_line("monitor", "--config", str(config), "--listen", "127.0.0.1:0")
    reported: set[str] = set()
    for number in range(3):
        log = tmp_path / f"log-{number}"
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=environment(), stdout=file, stderr=file)
        eventually(lambda log=log: rows(log.read_text(), "probe") != [])  # type: ignore[misc]
        time.sleep(0.2 * number)
        process.kill()
        process.wait()
        reported |= {str(one["at"]) for one in rows(log.read_text(), "probe")}
    database = sqlite3.connect(tmp_path / "m.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (stored,) = database.execute("SELECT COUNT(*) FROM probes").fetchone()
    database.close()
    assert stored >= len(reported)


def test_trials_of_a_beacon_are_metrics(run_proxy: RunProxy, tmp_path: Path) -> None:
    """The metrics describe a path that cuts idle streams and forwards client disconnects."""
    log = tmp_path / "sim.log"
    origin = ListeningCommand("sim", "--port", "0", log=log)
    try:
        location = f"{FREE} proxy_read_timeout 1s;"
        proxy = run_proxy(start_nginx, origin.url, location=location)
        config = configuration(tmp_path / "m.toml", proxy.url, interval=600)
        with config.open("a") as file:
            file.write("beacon = true\nidle = 3\ncancel = true\n")
        monitor = start_monitor(config, tmp_path / "log")
        try:
            eventually(lambda: rows(monitor.log_text(), "probe") != [])
            metrics = monitor.get("/metrics")[1]
        finally:
            assert monitor.stop() == 0
    finally:
        origin.stop()
    samples = dict(line.rpartition(" ")[::2] for line in metrics.splitlines())
    assert 0.5 < float(samples['undam_idle_cut_seconds{target="chat"}']) < 2.5
    assert float(samples['undam_idle_tried_seconds{target="chat"}']) == 3
    seen_s = samples['undam_cancel_seen_after_seconds{target="chat",when="between tokens"}']
    assert 0 <= float(seen_s) < 2
    assert float(samples['undam_http_version{hop="edge",target="chat"}']) == 1.1
    assert float(samples['undam_intermediary{hop="edge",name="nginx",target="chat"}']) == 1
