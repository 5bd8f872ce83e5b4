"""The MCP server in this process: list of tools, readable errors, and limits on results."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from support.undam_command import invoke
from undam.cli.commands.mcp import run_tool as running
from undam.cli.commands.mcp.arguments import ExplainArguments, ToolContext
from undam.cli.commands.mcp.run_tool import run_tool, shortened
from undam.cli.commands.mcp.server import TOOLS, make_server
from undam.errors import UsageError

NAMES = ["check", "explain", "lint", "tap", "monitor_status"]
SECRET = "sk-secret-abcdef123"


def context(root: Path) -> ToolContext:
    return ToolContext(root.resolve(), None, {"PATH": "/usr/bin:/bin", "SOME_TOKEN": SECRET})


def call(root: Path, *calls: tuple[str, dict[str, Any]], seconds: float = 60) -> list[Any]:
    """Make calls with the official MCP client, without a transport, and return the results."""

    async def main() -> list[Any]:
        async with Client(make_server(context(root), seconds)) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(main())


def test_no_tool_generates_load() -> None:
    assert [one.name for one in TOOLS] == NAMES
    for one in TOOLS:
        listed = one.as_protocol()
        assert listed.input_schema["additionalProperties"] is False
        assert listed.annotations is not None
        assert listed.annotations.read_only_hint is True


def test_failures_are_results_that_name_the_argument(tmp_path: Path) -> None:
    results = call(
        tmp_path,
        ("bench", {}),
        ("check", {"url": "file:///etc/passwd", "headers": {"Authorization": SECRET}}),
        ("lint", {"paths": ["../.."]}),
        ("monitor_status", {}),
        ("explain", {"name": "UD101", "verbose": True}),
    )
    texts = [one.content[0].text for one in results]
    assert all(one.is_error for one in results)
    assert texts[0] == f"there is no such tool; the tools are: {', '.join(NAMES)}"
    assert texts[1].startswith("url: ")
    assert "is not below the root" in texts[2]
    assert "--monitor-config FILE" in texts[3]
    assert texts[4] == "verbose: Extra inputs are not permitted"
    assert SECRET not in str(results)


@pytest.mark.slow
def test_lint_returns_text_and_the_json_of_the_command(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside.conf"
    outside.write_text(f"proxy_set_header X-Key {SECRET};\nproxy_buffering on;\n")
    conf = root / "nginx.conf"
    conf.write_text(
        "events {}\nhttp { server { location /v1/chat/completions {\n"
        f"  proxy_set_header Authorization 'Bearer {SECRET}';\n  include {outside};\n"
        "  proxy_pass http://127.0.0.1:8000; } } }\n"
    )
    (root / "click.py").write_text("raise SystemExit('a module of the root was imported')\n")
    (linted,) = call(root, ("lint", {"paths": ["nginx.conf"]}))
    assert not linted.is_error, linted
    report = linted.structured_content
    assert {"NGX101"} <= {one["code"] for one in report["findings"]}
    assert "NGX101" in linted.content[0].text
    assert [one["path"] for one in report["files"]] == ["nginx.conf"]
    assert SECRET not in str(linted)


def test_a_tool_is_stopped_at_its_limit(tmp_path: Path) -> None:
    (result,) = call(tmp_path, ("explain", {"name": "UD101"}), seconds=0.01)
    assert result.is_error
    assert result.content[0].text == "undam: the tool was stopped after 0.01 s"


def test_a_long_text_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_TEXT_CHARACTERS", 50)
    result = asyncio.run(run_tool(ExplainArguments(name="UD101"), context(tmp_path), 60))
    assert result.report is not None
    assert result.text.endswith("[cut after 50 characters]")


def test_a_large_report_is_shortened_to_its_limit() -> None:
    report: dict[str, object] = {
        "schema": 1, "command": "lint", "findings": [{"message": "x" * 500}] * 3000,
        "routes": {"list": list(range(5000))},
    }  # fmt: skip
    assert shortened(report, 10_000_000) is report
    small = shortened(report, 120_000)
    assert len(json.dumps(small)) <= 120_000
    assert small["shortened_to"] == 200
    assert (small["schema"], small["command"]) == (1, "lint")
    least = shortened({**report, **{str(number): "y" for number in range(100)}}, 60)
    assert least == {"schema": 1, "command": "lint", "shortened_to": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json",), "--json needs --listen"),
        (("--listen", "8765"), "write HOST:PORT"),
        (("--root", "/no/such/folder"), "is not a folder"),
    ],
)
def test_wrong_options_are_reported(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        invoke("mcp", *arguments)


def test_a_used_address_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            invoke("mcp", "--listen", f"127.0.0.1:{port}")


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "undam.cli.commands.mcp.server", None)
    monkeypatch.delattr("undam.cli.commands.mcp.server")
    with pytest.raises(UsageError, match=r"pip install 'undam\[mcp\]'"):
        invoke("mcp")
