"""`undam mcp` with the official client: all tools over stdio, and Streamable HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import urllib.error
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from mcp import Client, StdioServerParameters

from support.capture_builder import pcapng, stream_through_proxy
from support.live import CHAT, RunProxy, Simulator
from support.undam_command import ListeningCommand, command_line, environment, run_undam
from undam.lab.proxies import start_nginx

NAMES = {"check", "explain", "lint", "tap", "monitor_status"}
KEY = "sk-live-secret-1234567890"
HEADERS = {"Authorization": f"Bearer {KEY}"}
INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip
DUE = [200.0 + 25 * number + number * number % 7 for number in range(100)]
# Events are sent in blocks of ten; the last event of each block is sent without delay.
HELD = [DUE[min(99, number // 10 * 10 + 9)] + 0.2 for number in range(100)]


@pytest.fixture
def root(tmp_path: Path, model: Simulator) -> Path:
    """Return a folder with a configuration, a capture, and a monitor database with one probe."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        "events {}\nhttp { server { location /v1/chat/completions {\n"
        "  proxy_pass http://127.0.0.1:8000; } } }\n"
    )
    (folder / "held.pcapng").write_bytes(pcapng(stream_through_proxy(DUE, HELD)))
    config = tmp_path / "monitor.toml"
    config.write_text(
        f'[monitor]\nstate = "{tmp_path / "m.db"}"\n[[target]]\nname = "chat"\n'
        f'url = "{model.url}{CHAT}?gap=5&tokens=40"\n'
    )
    assert run_undam("monitor", "--config", str(config), "--once").code == 0
    return folder


async def use_tools(client: Client, url: str, names: set[str]) -> dict[str, Any]:
    """List the tools, call those named in ``names``, and return the results by name."""
    listed = await client.list_tools()
    assert {one.name for one in listed.tools} == NAMES
    calls: dict[str, dict[str, Any]] = {
        "check": {"url": f"{url}{CHAT}?gap=5&tokens=60", "headers": HEADERS, "experiments": False},
        "explain": {"name": "UD102"},
        "lint": {"paths": ["."]},
        "tap": {"capture": "held.pcapng"},
        "monitor_status": {},
    }
    return {name: await client.call_tool(name, calls[name]) for name in sorted(names)}


def assert_useful(results: dict[str, Any]) -> None:
    """Assert that each result equals the command's, as text and as JSON, without the key."""
    for name, one in results.items():
        assert not one.is_error, (name, one)
        assert KEY not in one.model_dump_json()
        assert_result(name, one.structured_content, one.content[0].text)


def assert_result(name: str, report: dict[str, Any], text: str) -> None:
    match name:
        case "check":
            assert report["verdict"] == "batched"
            assert report["hops"][0]["intermediaries"] == ["nginx"]
            assert "proxy_buffering off" in text
        case "explain":
            assert report["rules"][0]["code"] == "UD102"
            assert text.startswith("UD102 ")
        case "lint":
            assert {one["path"] for one in report["findings"]} == {"nginx.conf"}
            assert "nginx.conf:" in text
        case "tap":
            (proxy,) = report["proxies"]
            assert (proxy["address"], proxy["verdict"]) == ("10.0.0.2:8080", "batched")
            assert "HELD" in text
        case _:
            (target,) = report["targets"]
            found = (target["target"], target["verdict"], target["missed"])
            assert found == ("chat", "streaming", [])
            assert text.startswith("chat: streaming at ")


def test_the_official_client_calls_the_tools_over_stdio_and_http(
    model: Simulator, run_proxy: RunProxy, root: Path, tmp_path: Path
) -> None:
    proxy = run_proxy(start_nginx, model.url)
    options = ["mcp", "--root", str(root), "--monitor-config", str(tmp_path / "monitor.toml")]

    async def over_stdio() -> dict[str, Any]:
        first, *rest = command_line(*options)
        server = StdioServerParameters(command=first, args=rest, env=environment())
        async with Client(server) as client:
            return await use_tools(client, proxy.url, NAMES)

    async def over_http(url: str) -> dict[str, Any]:
        async with Client(url) as client:
            return await use_tools(client, proxy.url, {"lint", "monitor_status"})

    assert_useful(asyncio.run(over_stdio()))
    log = tmp_path / "mcp.log"
    running = ListeningCommand(*options, "--listen", "127.0.0.1:0", log=log)
    try:
        assert running.url.startswith("http://127.0.0.1:")
        assert_useful(asyncio.run(over_http(running.url)))
        for header, value in (("Host", "evil.example"), ("Origin", "http://evil.example")):
            assert status_of(running.url, {header: value}) in {403, 421}
    finally:
        code = running.stop()
    assert code == 0
    assert "Traceback" not in running.log_text()


def status_of(url: str, headers: dict[str, str]) -> int:
    """Return the status code of an initialize request with these headers."""
    kinds = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = Request(url, json.dumps(INITIALIZE).encode(), {**kinds, **headers})
    try:
        with urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_sigterm_ends_a_server_whose_client_is_silent() -> None:
    process = subprocess.Popen(
        command_line("mcp"), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        assert b'"serverInfo"' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
