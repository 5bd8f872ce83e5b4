"""Gunicorn commands and Traefik labels: the findings of lint match the real programs' behaviour."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.live import RunProxy, Simulator, check, hop_json, measure
from support.proxy_programs import Program, start_with_config
from undam.lint import Settings, Source, dialect_named, fix_source, lint_source
from undam.lint.dialects.compose.parser import services_of
from undam.lint.dialects.compose.traefik_labels import traefik_tree
from undam.textfiles.tree import Node
from undam.textfiles.yaml_reader import read_yaml

APPLICATION = """\
import time


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    for number in range(25):
        time.sleep(0.2)
        yield b"data: %d\\n\\n" % number
"""
COMMAND = "gunicorn --bind 127.0.0.1:8000 --timeout 2 app:app\n"
STREAMS = Settings(stream_paths=("/",))


def _fixed(dialect: str, path: str, text: str) -> str:
    return fix_source(dialect_named(dialect), Source(path, text), STREAMS, unsafe=True)


@contextmanager
def _running(command: str, folder: Path) -> Iterator[int]:
    """Run a gunicorn command line on a free port, and yield the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    words = command.replace(":8000", f":{port}").split()
    program = [sys.executable, "-m", *words]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.Popen(program, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


def _events(port: int) -> tuple[int, bool]:
    """Return the number of events in a stream, and whether the response was complete."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    conn.request("GET", "/")
    try:
        body = conn.getresponse().read()
    except http.client.IncompleteRead as cut:
        return cut.partial.count(b"data:"), False
    finally:
        conn.close()
    return body.count(b"data:"), True


def test_a_sync_worker_is_killed_during_a_stream_and_threads_are_not(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    found = lint_source(dialect_named("commands"), Source("start.sh", COMMAND), STREAMS)
    assert [one.rule.code for one in found.diagnostics] == ["CMD401"]
    with _running(COMMAND, tmp_path) as port:
        events, is_complete = _events(port)
    assert not is_complete
    assert events < 25
    with _running(_fixed("commands", "start.sh", COMMAND), tmp_path) as port:
        assert _events(port) == (25, True)


LABELS = """\
services:
  traefik:
    image: traefik:v3.7
    command:
      - --entrypoints.edge.address=127.0.0.1:8080
  vllm:
    image: vllm/vllm-openai
    labels:
      - traefik.http.routers.llm.rule=PathPrefix(`/v1/`)
      - traefik.http.routers.llm.middlewares=hold
      - traefik.http.middlewares.hold.buffering.maxRequestBodyBytes=1000000
      - traefik.http.services.llm.loadbalancer.server.port=9000
"""
_PROGRAM = Program(
    name="traefik", config_name="traefik.yaml", check=(), run=("--configFile=traefik.yaml",),
    version_flag="version",
)  # fmt: skip


def _as_file(text: str) -> str:
    """Return the configuration that the labels describe, for Traefik's file provider."""
    source = Source("compose.yaml", text)
    tree = traefik_tree(services_of(read_yaml(source).roots[0]), source)
    assert tree is not None
    config = _plain(tree)
    assert isinstance(config, dict)
    http_part = config["http"]
    assert isinstance(http_part, dict)
    (service,) = http_part["services"].values()
    service["loadbalancer"].pop("server")
    service["loadbalancer"]["servers"] = [{"url": "http://127.0.0.1:9000"}]
    config["providers"] = {"file": {"filename": "traefik.yaml"}}
    return json.dumps(config)  # JSON is YAML


def _plain(node: Node) -> object:
    if node.kind == "map":
        return {entry.key.text: _plain(entry.value) for entry in node.entries}
    if node.kind == "list":
        return [_plain(item) for item in node.items]
    return node.text


@pytest.mark.parametrize("is_fixed", [False, True])
def test_labels_hold_a_stream_until_they_are_fixed(
    is_fixed: bool, simulator: Callable[..., Simulator], run_proxy: RunProxy
) -> None:
    text = _fixed("compose", "compose.yaml", LABELS) if is_fixed else LABELS
    found = lint_source(dialect_named("compose"), Source("compose.yaml", text), STREAMS)
    assert [one.rule.code for one in found.diagnostics] == ([] if is_fixed else ["TRF101"])
    model = simulator("--gap", "10", "--tokens", "100")
    proxy = run_proxy(start_with_config, _PROGRAM, _as_file(text), origin=model.url)
    _wait_for_route(proxy.url)
    (report,) = measure(model, lambda: [check(proxy.url)])
    assert hop_json(report)["verdict"] == ("streaming" if is_fixed else "held-to-end")


def _wait_for_route(url: str) -> None:
    address = urlsplit(url)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        conn = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        conn.request("GET", "/v1/models")
        status = conn.getresponse().status
        conn.close()
        if status != 404:
            return
        time.sleep(0.05)
    raise AssertionError("Traefik has no route")
