"""Case research/04: U+FFFD in the text is detected without a beacon, and the hop is reported."""

from __future__ import annotations

import asyncio
import socket
import time

from support.chunked import LAST_CHUNK, chunk
from support.live import check
from support.lossy_relay import plain_events
from support.threaded_server import head, serving
from undam.probe import Report

TORN = ["你好" if i % 7 != 3 else "我\ufffd\ufffd个" for i in range(28)]
WHOLE = ["你好" if i % 7 != 3 else "我们个" for i in range(28)]


def _server(texts: list[str]) -> object:
    def serve(conn: socket.socket, _: bytes) -> None:
        conn.sendall(head())
        for event in plain_events(texts):
            conn.sendall(chunk(event))
            time.sleep(0.005)
        conn.sendall(LAST_CHUNK)

    return serve


def _torn(report: Report) -> list[tuple[str, object]]:
    return [(one.hop, one.evidence["count"]) for one in report.findings if one.code == "UD615"]


def test_the_hop_with_replacement_characters_is_named() -> None:
    with serving(_server(TORN)) as outer, serving(_server(WHOLE)) as inner:  # type: ignore[arg-type]
        report = asyncio.run(check(outer.url(""), ("model", inner.url("")), model="m"))
        assert _torn(report) == [("edge", 4)]
        assert not report.is_clean
        report = asyncio.run(check(inner.url(""), model="m"))
        assert _torn(report) == []


def test_a_server_that_tears_its_own_text_is_named_itself() -> None:
    with serving(_server(TORN)) as model:  # type: ignore[arg-type]
        report = asyncio.run(check(model.url(""), ("model", model.url("")), model="m"))
    assert _torn(report) == [("model", 4)]
