"""`undam bench` against servers that mislead load generators: the caveats are reported."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import JSON, SSE, head, serving, token, whole
from support.undam_command import run_undam

pytestmark = pytest.mark.live

DONE = chunk(b"data: [DONE]\n\n")
MODELS = b'{"data":[{"id":"m"}]}'
MODELS_REPLY = whole(MODELS, headers=JSON)


def usage(completion: int, prompt: int = 100, cached: int | None = None) -> bytes:
    counts: dict[str, Any] = {"completion_tokens": completion, "prompt_tokens": prompt}
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return chunk(b"data: " + json.dumps({"choices": [], "usage": counts}).encode() + b"\n\n")


def model_server(
    answer: Callable[[socket.socket, bytes], None],
) -> Callable[[socket.socket, bytes], None]:
    """Return a script that answers model list requests and passes all others to ``answer``."""

    def script(conn: socket.socket, request: bytes) -> None:
        if b"/models" in request.split(b"\r\n")[0]:
            conn.sendall(MODELS_REPLY)
        else:
            with contextlib.suppress(OSError):
                answer(conn, request)

    return script


def bench(url: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run_undam("bench", url, *arguments, "--json", "-", timeout_s=90)
    assert done.code in {0, 1}, done.err
    report = json.loads(done.out)
    assert isinstance(report, dict)
    return done.code, report


class PrefixCacheServer:
    """Server that answers ten times faster if the start of the prompt is cached."""

    def __init__(self, *, reports: bool = False) -> None:
        self.bodies: list[bytes] = []
        self._known: set[bytes] = set()
        self._reports = reports

    def __call__(self, conn: socket.socket, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        self.bodies.append(body)
        content = json.loads(body)["messages"][0]["content"].encode()[:12]
        hit = content in self._known
        self._known.add(content)
        time.sleep(0.01 if hit else 0.1)
        cached = (80 if hit else 0) if self._reports else None
        conn.sendall(head() + chunk(token()) + usage(1, 100, cached) + DONE + LAST_CHUNK)


def test_each_request_of_each_run_has_a_new_prompt() -> None:
    server = PrefixCacheServer(reports=True)
    with serving(model_server(server)) as at:
        for load in (("-c", "8"), ("-c", "8"), ("--sweep", "2,4")):
            _, report = bench(at.url("/v1"), *load, "-n", "30")
            for run in report.get("sweep", [report]):
                assert run["ttft_ms"]["p50"] > 95
                assert run["unique_prompts"] is True
                assert run["cached_percent"] == 0
                assert "UD921" not in [one["code"] for one in run["caveats"]]
    assert len(set(server.bodies)) == len(server.bodies) >= 120
    lengths = [json.loads(body)["messages"][0]["content"] for body in server.bodies]
    assert "undamrequestmark" not in "".join(lengths)


def test_repeated_prompts_are_named_as_a_warm_cache(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "first prompt text"}\n{"prompt": "second prompt"}\n')
    for reports, code in ((True, "UD921"), (False, "UD922")):
        with serving(model_server(PrefixCacheServer(reports=reports))) as at:
            _, report = bench(at.url("/v1"), "-n", "30", "-c", "2", "--prompts", str(prompts))
        severities = {one["code"]: one["severity"] for one in report["caveats"]}
        assert severities[code] == ("warning" if code == "UD921" else "info")
        assert report["unique_prompts"] is False


def test_body_of_the_user_is_one_repeated_prompt() -> None:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "a question"}]}
    with serving(model_server(PrefixCacheServer())) as at:
        url = at.url("/v1/chat/completions")
        _, report = bench(url, "-n", "20", "-c", "4", "--data", json.dumps(body))
    assert report["prompts"] == 1
    assert "UD922" in [one["code"] for one in report["caveats"]]


def test_shared_prefix_is_sent_as_requested() -> None:
    server = PrefixCacheServer()
    with serving(model_server(server)) as at:
        _, report = bench(
            at.url("/v1"), "-n", "20", "-c", "4", "--prefix-share", "0.5", "--prompt-words", "40"
        )
    assert report["prefix_share"] == 0.5
    contents = [json.loads(body)["messages"][0]["content"].split() for body in server.bodies]
    assert len({tuple(words[:20]) for words in contents}) == 1
    assert len({words[20] for words in contents}) == len(contents)


def test_goodput_and_objective_use_the_same_time_per_token() -> None:
    def answer(conn: socket.socket, request: bytes) -> None:
        conn.sendall(head())
        for _ in range(6):
            conn.sendall(chunk(token()))
            time.sleep(0.05)
        conn.sendall(usage(24) + DONE + LAST_CHUNK)

    with serving(model_server(answer)) as at:
        slos = ("--slo", "tpot_p99<25ms", "--slo", "goodput>=95%")
        _, report = bench(at.url("/v1"), "-n", "20", "-c", "5", *slos)
    # Events have 4 tokens and are 50 ms apart.
    assert report["tpot_ms"]["p50"] == pytest.approx(12.5, rel=0.2)
    assert [slo["met"] for slo in report["slo"]] == [True, True]


def test_requests_that_wait_in_vain_are_above_the_limit() -> None:
    count = iter(range(10**6))
    lock = threading.Lock()

    def answer(conn: socket.socket, request: bytes) -> None:
        with lock:
            number = next(count)
        conn.sendall(head())
        time.sleep(0.05)
        if number % 12 == 0:
            conn.recv(1)
        else:
            conn.sendall(chunk(token()) + DONE + LAST_CHUNK)

    with serving(model_server(answer)) as at:
        code, report = bench(
            at.url("/v1"), "--rate", "40", "-n", "72", "--timeout", "1", "--warmup", "0",
            "--slo", "ttft_p99<500ms", "--slo", "incomplete<10%",
        )  # fmt: skip
    assert code == 1
    assert [slo["met"] for slo in report["slo"]] == [False, True]
    ttft = report["ttft_ms"]
    assert (ttft["of"], ttft["timed_out"]) == (72, 6)
    assert ttft["p95"] >= 1000
    assert ttft["p50"] < 500


def test_overload_is_a_finding_and_not_a_clean_run() -> None:
    lock = threading.Lock()

    def answer(conn: socket.socket, request: bytes) -> None:
        with lock:
            time.sleep(0.025)
        conn.sendall(head() + chunk(token()) + DONE + LAST_CHUNK)

    with serving(model_server(answer)) as at:
        code, report = bench(at.url("/v1"), "--rate", "120", "--duration", "3")
    assert code == 1
    assert report["valid"] is False
    assert "UD920" in [one["code"] for one in report["caveats"]]
    assert report["offered_per_second"] == pytest.approx(120, rel=0.2)
    assert report["served_per_second"] < 45


def test_tls_connections_opened_ahead_are_used(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    cacert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cacert))
    reply = head(headers=(*SSE, ("Connection", "close"))) + chunk(token()) + DONE + LAST_CHUNK
    with serving(model_server(lambda conn, _: conn.sendall(reply)), context) as at:
        url = at.url("/v1", scheme="https")
        # Each request needs a separate connection, and ten connections are opened before the start.
        _, report = bench(url, "-c", "10", "-n", "10", "--warmup", "0", "--cacert", str(cacert))
    assert report["complete"] == 10
    assert report["client"]["connections"] == 10
