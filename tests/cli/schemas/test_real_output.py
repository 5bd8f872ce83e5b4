"""The JSON schemas describe all real output of every command.

The closed form of each schema is used: a field that a command writes and the schema does not list
fails the test.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from support.capture_builder import pcapng, stream_through_proxy
from support.check_reports import hop, report
from support.undam_command import ListeningCommand, invoke
from undam.cli.commands.lab import _as_json
from undam.cli.main import undam
from undam.cli.schemas import FORMS, schema_of
from undam.errors import UndamError
from undam.lab.readers import FirstTokenTimes
from undam.lab.scenario import (
    BUFFERED,
    DIRECT,
    FORMATS,
    UNBUFFERED,
    Measurement,
    ScenarioResult,
)
from undam.monitor.notify import change_json
from undam.monitor.probe_result import ProbeResult
from undam.monitor.store import StateChange
from undam.rules import Fix

ROOT = Path(__file__).parents[3]
RULES = ROOT / "tests" / "rules"
# The output of `undam report` has the same format as that of `undam check` or `undam bench`.
WITHOUT_FORM = {"report"}


@cache
def validators(name: str) -> list[Draft202012Validator]:
    """Return one validator for each alternative of an output format."""
    (form,) = [one for one in FORMS if one.name == name]
    schema = schema_of(form, closed=True)
    return [Draft202012Validator(one) for one in schema.get("anyOf", [schema])]


def errors(name: str, value: object) -> list[str]:
    """Return the validation errors for the best-matching alternative."""
    found = min((list(one.iter_errors(value)) for one in validators(name)), key=len)
    inner = (best_match([error]) for error in found)
    return [f"{error.json_path}: {error.message[-300:]}" for error in inner]


def output(*arguments: str) -> dict[str, Any]:
    return invoke(*arguments, "--json").json


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("model") / "log"
    arguments = ("--port", "0", "--tokens", "30", "--gap", "5", "--ttft", "20")
    simulator = ListeningCommand("sim", *arguments, log=log)
    yield simulator.url
    simulator.stop()


def test_every_command_has_a_form() -> None:
    commands = set(undam.list_commands(click.Context(undam))) - WITHOUT_FORM
    assert {form.name for form in FORMS} == commands | {"monitor-log", "record"}


def test_the_published_files_are_up_to_date() -> None:
    loader = SourceFileLoader("write_schemas", str(ROOT / "scripts" / "write-schemas"))
    spec = importlib.util.spec_from_loader("write_schemas", loader)
    assert spec is not None
    script: ModuleType = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    wanted = script.files()
    stale = [path.name for path, text in wanted.items()
             if not path.is_file() or path.read_text("utf-8") != text]  # fmt: skip
    assert stale == [], "run .venv/bin/python scripts/write-schemas"
    published = set((ROOT / "docs" / "schemas").glob("*.json"))
    assert published == {path for path in wanted if path.suffix == ".json"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("completion", ["completion", "bash"]),
        ("doctor", ["doctor"]),
        ("explain", ["explain", "UD102"]),
        ("explain", ["explain", "NGX101"]),
        ("explain", ["explain", "nginx", "--version", "1.22.1"]),
        ("explain", ["explain", "cloudflare"]),
        ("fix", ["fix", str(RULES / "NGX101" / "bad.conf")]),
        ("lint", ["lint", str(RULES / "NGX101" / "bad.conf")]),
        ("lint", ["lint", str(RULES / "NGX101"), str(RULES / "HAP101")]),
        ("render", ["render", "haproxy", "--upstream", "http://127.0.0.1:8000"]),
        ("rules", ["rules"]),
    ],
)
def test_commands_without_network(name: str, arguments: list[str]) -> None:
    assert errors(name, output(*arguments)) == []


def test_lint_of_a_file_that_cannot_be_read() -> None:
    result = output("lint", str(ROOT / "README.md"), str(ROOT / "no" / "such.conf"))
    assert result["problems"]
    assert errors("lint", result) == []


def test_lint_and_fix_of_a_folder_with_settings(tmp_path: Path) -> None:
    (tmp_path / "undam.toml").write_text("ignore = ['NGX101']\nheartbeat = 15\n")
    (tmp_path / "nginx.conf").write_text((RULES / "NGX101" / "bad.conf").read_text("utf-8"))
    (tmp_path / "script.py").write_text("print()\n")
    result = output("lint", str(tmp_path))
    assert result["settings"]
    assert errors("lint", result) == []
    assert errors("fix", output("fix", str(tmp_path))) == []


def test_tap_of_a_capture(tmp_path: Path) -> None:
    due = [200.0 + 25 * number for number in range(100)]
    held = [due[min(99, number // 10 * 10 + 9)] + 0.2 for number in range(100)]
    path, record = tmp_path / "held.pcapng", tmp_path / "record.jsonl"
    path.write_bytes(pcapng(stream_through_proxy(due, held)))
    result = output("tap", "-r", str(path), "--record", str(record))
    assert result["proxies"]
    assert errors("tap", result) == []
    assert record_errors(record) == []


def test_the_configurations_of_gateway_and_monitor(tmp_path: Path) -> None:
    gateway = output("gateway", "--upstream", "http://127.0.0.1:9", "--check-config")
    assert errors("gateway", gateway) == []
    config = monitor_config(tmp_path, "http://127.0.0.1:9")
    assert errors("monitor", output("monitor", "--config", str(config), "--check-config")) == []


@pytest.mark.slow
def test_check_and_its_record(model: str, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    chat = f"{model}/v1/chat/completions"
    arguments = ["check", chat, "--hop", f"model={chat}", "--record", str(record)]
    for more in ([], ["--beacon", "--cancel"]):
        assert errors("check", output(*arguments, *more)) == []
    failed = output("check", chat, "--hop", "inner=http://127.0.0.1:9/v1/chat/completions")
    assert failed["hops"][1]["error"]
    assert errors("check", failed) == []
    assert record_errors(record) == []
    assert errors("check", output("report", str(record))) == []


@pytest.mark.slow
def test_watch_and_monitor(model: str, tmp_path: Path) -> None:
    assert errors("watch", output("watch", f"{model}/v1", "hello")) == []
    config = monitor_config(tmp_path, model)
    assert errors("monitor", output("monitor", "--config", str(config), "--once")) == []
    changes = invoke("monitor", "--config", str(config), "log", "--json").json
    assert errors("monitor-log", changes) == []
    probe = ProbeResult("chat", 1.8e9, "batched", fixes=("nginx: proxy_buffering off;",))
    change = StateChange("chat", 1.8e9, "edge streams", probe, probe)
    assert errors("monitor-log", {**changes, "changes": [change_json(change)]}) == []


@pytest.mark.slow
def test_bench_its_record_and_compare(model: str, tmp_path: Path) -> None:
    record, result = tmp_path / "record.jsonl", tmp_path / "a.json"
    chat = f"{model}/v1/chat/completions"
    some = ["-c", "4", "-n", "12", "--warmup", "2"]
    run = output("bench", chat, *some, "--slo", "ttft_p99<5s", "--record", str(record))
    assert errors("bench", run) == []
    assert record_errors(record) == []
    assert errors("bench", output("report", str(record))) == []
    result.write_text(json.dumps(run))
    assert errors("compare", output("compare", str(result), str(record))) == []
    sweep = output("bench", chat, "--sweep", "1,2", "-n", "6", "--record", str(record))
    assert errors("bench", sweep) == []
    assert record_errors(record) == []


@pytest.mark.slow
def test_servers_announce_their_address(tmp_path: Path) -> None:
    for name, arguments in (
        ("sim", ["--port", "0"]),
        ("gateway", ["--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9"]),
        ("mcp", ["--listen", "127.0.0.1:0"]),
    ):
        path = tmp_path / f"{name}.json"
        server = ListeningCommand(name, *arguments, "--json", str(path), log=tmp_path / "log")
        server.stop()
        assert errors(name, json.loads(path.read_text("utf-8"))) == []


def test_lab_with_few_readers() -> None:
    """The real experiment takes 80 seconds, so the result is generated from synthetic streams."""
    times = FirstTokenTimes((190.0, 200.0, 210.0), 0)
    rows = [
        Measurement(form, setup.name, times, report(hop()))
        for form in FORMATS
        for setup in (DIRECT, BUFFERED, UNBUFFERED)
    ]
    fixes = ((BUFFERED.name, BUFFERED.fix or Fix("", "")),)
    result = ScenarioResult("nginx 1.22.1", tuple(rows), fixes, None)
    assert errors("lab", json.loads(json.dumps(_as_json(result)))) == []


def test_a_line_of_another_kind_is_not_a_record() -> None:
    assert errors("record", {"kind": "arrival", "exchange": "1", "at_ns": 5})
    assert errors("record", {"kind": "unknown"})


def monitor_config(folder: Path, url: str) -> Path:
    path = folder / "monitor.toml"
    path.write_text(
        f'[monitor]\nstate = "{folder / "monitor.db"}"\n[[target]]\nname = "chat"\n'
        f'url = "{url}/v1/chat/completions"\nobjectives = ["ttft_p95<5s"]\n'
    )
    return path


def record_errors(path: Path) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) > 2
    return [error for line in lines for error in errors("record", json.loads(line))]


def test_an_error_is_not_a_result() -> None:
    with pytest.raises(UndamError):
        invoke("explain", "UD000", "--json")
