"""`undam check` run as a process against real proxies: output, record and exit code."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.live import CHAT, RunProxy, Simulator, check
from support.undam_command import run_undam
from undam.lab.proxies import start_nginx
from undam.probe import report_json
from undam.record import read_record


def test_a_dam_is_shown_with_the_line_that_mends_it(
    model: Simulator, run_proxy: RunProxy, tmp_path: Path
) -> None:
    url = run_proxy(start_nginx, model.url).url + CHAT
    record, report = tmp_path / "check.jsonl", tmp_path / "check.json"
    done = run_undam("check", url, "--beacon", "--record", str(record), "--json", str(report))
    assert done.code == 1, done.err
    assert "batched" in done.out
    assert "UD102" in done.out
    assert "proxy_buffering off;" in done.out
    told = json.loads(report.read_text("utf-8"))
    assert (told["schema"], told["command"], told["verdict"]) == (1, "check", "batched")
    (exchange,) = read_record(record.read_text("utf-8").splitlines())[1]
    assert exchange.url == url
    assert len({arrival.at_ns for arrival in exchange.arrivals}) >= told["hops"][0]["reads"]


def test_a_freed_path_exits_clean_and_prints_only_json(
    model: Simulator, run_proxy: RunProxy
) -> None:
    proxy = run_proxy(start_nginx, model.url, location="proxy_buffering off;")
    done = run_undam("check", proxy.url + CHAT, "--hop", f"origin={model.url}{CHAT}", "--json")
    told = json.loads(done.out)
    assert told["verdict"] == "streaming"
    assert [hop["name"] for hop in told["hops"]] == ["edge", "origin"]
    loud = [one for one in told["findings"] if one["severity"] != "info"]
    # On a busy machine, the check may report measurement caveats (UD9…), which are warnings.
    assert [one for one in loud if not one["code"].startswith("UD9")] == []
    assert done.code == (1 if loud else 0)


def test_the_command_and_the_library_say_the_same(model: Simulator, run_proxy: RunProxy) -> None:
    proxy = run_proxy(start_nginx, model.url)
    done = run_undam("check", proxy.url + CHAT, "--json")
    told = json.loads(done.out)
    library = report_json(asyncio.run(check(proxy.url)))
    assert set(told) == set(library)
    assert told["verdict"] == library["verdict"]
    assert [one["code"] for one in told["findings"] if one["severity"] == "error"] == ["UD102"]
