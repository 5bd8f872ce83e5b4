"""Cases check/03, 08 and 13: suspects are derived from the response; nginx is not the default."""

from __future__ import annotations

import json
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import DONE, head, serving, token, whole
from support.undam_command import invoke

pytestmark = pytest.mark.slow  # Each stream takes a second.

SSE = ("Content-Type", "text/event-stream")
NO_TRANSFORM = ("Cache-Control", "no-cache, no-transform")
COUNT, GAP_S = 40, 0.025

Script = Callable[[socket.socket, bytes], None]


def check(script: Script, *options: str) -> dict[str, Any]:
    with serving(script) as server:
        ran = invoke("check", server.url(), "--model", "m", "--json", "--no-experiments", *options)
    return {"exit": ran.code, **ran.json}


def names(report: dict[str, Any]) -> list[str]:
    return [one["name"] for one in report["suspects"]]


def fix_of(report: dict[str, Any], code: str) -> dict[str, str]:
    (found,) = [one for one in report["findings"] if one["code"] == code]
    fix = found["fix"]
    assert isinstance(fix, dict)
    return fix


def at_the_end(*headers: tuple[str, str]) -> Script:
    """Send the whole answer with a Content-Length after its generation time has passed."""

    def script(conn: socket.socket, _: bytes) -> None:
        time.sleep(COUNT * GAP_S)
        conn.sendall(whole(token() * COUNT + DONE, headers=(SSE, *headers)))

    return script


def compressed(coding: str, server: str, *, flush: bool = False) -> Script:
    """Compress the stream, with or without flushing after each event."""

    def script(conn: socket.socket, _: bytes) -> None:
        coder = zlib.compressobj(6, zlib.DEFLATED, 31 if coding == "gzip" else 15)
        lines = (SSE, ("Content-Encoding", coding), ("Server", server))
        conn.sendall(head(headers=lines))
        for number in range(COUNT):
            time.sleep(GAP_S)
            data = coder.compress(token(f"word {number} "))
            data += coder.flush(zlib.Z_SYNC_FLUSH) if flush else b""
            if data:
                conn.sendall(chunk(data))
        conn.sendall(chunk(coder.compress(DONE) + coder.flush()) + LAST_CHUNK)

    return script


def test_the_interceptor_behind_express_is_named_and_not_the_header_that_is_there() -> None:
    report = check(at_the_end(("X-Powered-By", "Express"), NO_TRANSFORM))
    assert report["verdict"] == "held-to-end"
    assert names(report)[0] == "http-proxy-middleware"
    assert "selfHandleResponse" in fix_of(report, "UD101")["text"]
    offered = [one["fix"]["text"] for one in report["suspects"] if one["fix"]]
    assert not any("no-transform" in text for text in offered)
    assert not {"nginx", "express"} & set(names(report))


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ((("Server", "TornadoServer/6.5"),), "tornado"),
        ((("Server", "Werkzeug/3.1.3 Python/3.12"),), "application"),
        ((("Keep-Alive", "timeout=5"),), "http-proxy-middleware"),
        ((), "application"),
    ],
)
def test_collected_answers_of_other_servers(
    headers: tuple[tuple[str, str], ...], first: str
) -> None:
    report = check(at_the_end(*headers))
    assert names(report)[0] == first
    assert not {"nginx", "varnish"} & set(names(report))


@pytest.mark.parametrize(
    ("coding", "server", "first"),
    [
        ("gzip", "gunicorn", "django-gzip"),
        ("gzip", "uvicorn", "starlette-gzip"),
        ("deflate", "Python/3.12 aiohttp/3.13.2", "aiohttp-server"),
        ("deflate", "waitress", "compression-middleware"),
    ],
)
def test_compressors_are_named_by_coding_and_server(coding: str, server: str, first: str) -> None:
    report = check(compressed(coding, server))
    assert report["exit"] == 1
    assert names(report)[0] == first
    assert "nginx" not in names(report)
    evidence = report["suspects"][0]["evidence"]
    assert any(coding in text for text in evidence)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressor_that_flushes_each_event_is_healthy(coding: str) -> None:
    report = check(compressed(coding, "gunicorn", flush=True))
    assert (report["verdict"], report["exit"], report["suspects"]) == ("streaming", 0, [])


def azure(burst: int, gap_s: float, *, signed: bool = True) -> Script:
    """Send bursts of events, like the Azure OpenAI content filter."""

    def script(conn: socket.socket, _: bytes) -> None:
        conn.sendall(head())
        if signed:
            first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
            conn.sendall(chunk(b"data: " + json.dumps(first).encode() + b"\n\n"))
        for _number in range(12):
            time.sleep(gap_s)
            conn.sendall(chunk(b"".join(token(f"t{i} ") for i in range(burst))))
        conn.sendall(chunk(DONE) + LAST_CHUNK)

    return script


@pytest.mark.parametrize(("burst", "gap_s"), [(20, 0.2), (12, 0.15), (4, 0.09), (30, 0.1)])
def test_the_content_filter_of_azure_is_named_with_its_setting(burst: int, gap_s: float) -> None:
    report = check(azure(burst, gap_s))
    assert report["verdict"] == "batched"
    assert names(report) == ["azure-openai-filter"]
    assert report["hops"][0]["intermediaries"] == ["azure-openai-filter"]
    (code,) = {one["code"] for one in report["findings"] if one["severity"] == "error"}
    assert "Asynchronous Filter" in fix_of(report, code)["text"]


def test_the_same_bursts_without_the_filters_fields_are_not_blamed_on_azure() -> None:
    report = check(azure(20, 0.2, signed=False))
    assert "azure-openai-filter" not in names(report)


def test_a_filter_that_does_not_collect_is_healthy() -> None:
    report = check(azure(1, 0.03))
    assert (report["verdict"], report["exit"], report["suspects"]) == ("streaming", 0, [])
