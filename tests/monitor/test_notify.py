"""Webhooks: change formats, retries and their limit, and no secrets in error messages."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from support.threaded_server import serving
from undam.monitor.notify import Webhooks, change_json, slack_json
from undam.monitor.probe_result import HopState, ProbeResult
from undam.monitor.store import StateChange

FREE = ProbeResult("chat", 0.0, "streaming", (HopState("edge", "streaming"),))
HELD = ProbeResult("chat", 9.0, "batched", (HopState("edge", "batched"),), codes=("UD102",),
                   fixes=("nginx: proxy_buffering off;",))  # fmt: skip
CHANGE = StateChange("chat", 9.0, "edge sends blocks of 4096 bytes; before: streams", FREE, HELD)


def answer(*statuses: int) -> Any:
    """Return a script that responds with each of these statuses, repeating the last one."""
    left = list(statuses)

    def script(conn: socket.socket, _: bytes) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        conn.sendall(f"HTTP/1.1 {status} S\r\nContent-Length: 0\r\n\r\n".encode())

    return script


def send(url: str, form: Any = change_json, times: int = 1) -> list[str]:
    """Send a change ``times`` times, wait until delivery ends, and return the problems."""
    problems: list[str] = []

    async def main() -> None:
        hooks = Webhooks({url: form}, problems.append, pause_s=0.01)
        for _ in range(times):
            hooks.send(CHANGE)
        await hooks.finish()

    asyncio.run(main())
    return problems


@pytest.mark.parametrize(
    ("statuses", "requests"), [((200,), 1), ((500, 200), 2), ((503, 502, 204), 3)]
)
def test_a_failure_is_retried(statuses: tuple[int, ...], requests: int) -> None:
    with serving(answer(*statuses)) as server:
        assert send(server.url("/hook")) == []
    assert len(server.requests) == requests
    body = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
    assert body == change_json(CHANGE)
    assert (body["verdict"], body["fixes"]) == ("batched", ["nginx: proxy_buffering off;"])


def test_a_lasting_failure_is_a_problem_without_the_secret_of_the_url() -> None:
    with serving(answer(404)) as server:
        (problem,) = send(server.url("/services/T0/B0/s3cr3t?token=hunter22"))
    assert len(server.requests) == 3
    assert problem == "the webhook http://127.0.0.1 failed: status 404"


def test_an_unreachable_webhook_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/hook") == [
        "the webhook http://127.0.0.1 failed: URLError"
    ]


def test_slack_receives_its_own_form() -> None:
    with serving(answer(200)) as server:
        assert send(server.url("/slack"), slack_json) == []
    text = json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["text"]
    assert text.startswith("undam: chat, since 1970-01-01T00:00:09Z: edge sends blocks of 4096")


def test_waiting_messages_are_bounded() -> None:
    with serving(answer(200)) as server:
        problems = send(server.url("/hook"), times=103)
    assert problems == ["a webhook was dropped: 100 are already waiting"] * 3
    assert len(server.requests) == 100
