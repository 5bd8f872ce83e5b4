"""Workloads known from other load generators, as a server receives them."""

from __future__ import annotations

import csv
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import JSON, head, serving, token, whole
from support.undam_command import run_undam

pytestmark = pytest.mark.live

MODELS = whole(b'{"data":[{"id":"m"}]}', headers=JSON)


class RecordingServer:
    """Server that records each request body and the maximum number of concurrent requests."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.most = 0
        self._now = 0
        self._pause_s = pause_s
        self._lock = threading.Lock()

    def __call__(self, conn: socket.socket, request: bytes) -> None:
        if b"/models" in request.split(b"\r\n")[0]:
            conn.sendall(MODELS)
            return
        with self._lock:
            self.bodies.append(json.loads(request.partition(b"\r\n\r\n")[2]))
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self._pause_s)
        conn.sendall(head() + chunk(token()) + chunk(b"data: [DONE]\n\n") + LAST_CHUNK)
        with self._lock:
            self._now -= 1


def bench(server: RecordingServer, *arguments: str) -> dict[str, Any]:
    with serving(server) as at:
        done = run_undam("bench", at.url("/v1"), *arguments, "--json", "-", timeout_s=60)
    assert done.code in {0, 1}, done.err
    report = json.loads(done.out)
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize(
    ("lines", "check"),
    [
        (['{"prompt":"a","max_tokens":5,"ignore_eos":true,"temperature":0}'],
         lambda body: [body[k] for k in ("ignore_eos", "temperature", "max_tokens")] == [1, 0, 5]),
        (['{"prompt":"a","model":"lora-a"}'], lambda body: body["model"] == "lora-a"),
        (['{"messages":[{"role":"user","content":"x"}],"tools":[]}'],
         lambda body: body["tools"] == []),
        (['{"turns":["a","b"]}'], lambda body: body["messages"][0]["content"] == "a"),
        (['{"timestamp":0,"input_length":675,"output_length":52,"hash_ids":[1,2]}'],
         lambda body: body["max_tokens"] == 52 and len(body["messages"][0]["content"]) > 1000),
        (['[{"conversations":[{"from":"human","value":"hi"}]}]'],
         lambda body: body["messages"] == [{"role": "user", "content": "hi"}]),
    ],
)  # fmt: skip
def test_prompts_file_of_each_kind_is_sent(tmp_path: Path, lines: list[str], check: Any) -> None:
    file, server = tmp_path / "p.jsonl", RecordingServer()
    file.write_text("\n".join(lines), encoding="utf-8")
    report = bench(server, "--prompts", str(file), "-n", "2", "-c", "1", "--warmup", "0")
    assert report["errors"] == 0
    assert all(check(body) for body in server.bodies)
    assert "undam" not in str([body["messages"] for body in server.bodies])


def test_body_fields_models_limit_and_csv(tmp_path: Path) -> None:
    server, rows = RecordingServer(0.05), tmp_path / "rows.csv"
    report = bench(
        server, "--rate", "200", "-n", "60", "--max-concurrency", "4", "--arrivals", "gamma",
        "--burstiness", "0.3", "--body", "ignore_eos=true", "--body", "stream_options=",
        "--models", "a:0.7,b:0.3", "--csv", str(rows),
    )  # fmt: skip
    assert 2 <= server.most <= 4
    assert {body["model"] for body in server.bodies} == {"a", "b"}
    assert all(body["ignore_eos"] is True for body in server.bodies)
    assert not any("stream_options" in body for body in server.bodies)
    # The wait for a free slot in the load generator counts toward TTFT, like a queue in the server.
    assert report["ttft_ms"]["p99"] > 4 * 50
    assert "at most 4 in flight" in report["load"]
    assert "UD908" not in [one["code"] for one in report["findings"]]
    with rows.open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [int(row["number"]) for row in table] == sorted(int(row["number"]) for row in table)
    assert sum(row["warmup"] == "0" for row in table) == 60
    assert all(float(row["ttft_ms"]) >= 49 for row in table)
