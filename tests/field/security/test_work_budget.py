"""Small responses that cause a lot of work are handled within the time and memory limits."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from support.hostile_responses import CLOSING, bomb
from support.memory import MeasuredCommand, measure
from support.threaded_server import JSON, serving, whole

pytestmark = pytest.mark.slow

TIMEOUT_S = 4.0
# This second includes the start of Python and printing. On a busy machine, the limit is higher.
MARGIN_S = 1.0
# The goal is 200 MB, but `watch` needs up to 214 MB for the longest compressed streams.
PEAK_MB = 225

COMMANDS = {
    "check": ("check", "--json"),
    "watch": ("watch", "--json"),
    "watch as text": ("watch", "hi"),
    "bench": ("bench", "-n", "1", "-c", "1", "--warmup", "0"),
}
ENDLESS_EVENTS = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 1000


def run(response: bytes, command: str, *, forever: bool = False) -> MeasuredCommand:
    def answer(conn: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET") and b"/models " in request.split(b"\r\n")[0]:
            conn.sendall(whole(b"{}", "404 Not Found", JSON))
            return
        conn.sendall(CLOSING if forever else response)
        until = time.monotonic() + 3 * TIMEOUT_S
        while forever and time.monotonic() < until:
            conn.sendall(response)

    with serving(answer) as server:
        name, *more = COMMANDS[command]
        args = (name, server.url(), *more, "--timeout", f"{TIMEOUT_S:g}")
        return measure(*args)


def require_budget(ran: MeasuredCommand) -> None:
    assert "Traceback" not in ran.err
    assert ran.code in {1, 2}
    assert ran.cpu_s < TIMEOUT_S + MARGIN_S
    assert ran.peak_mb < PEAK_MB


# test_table.py has more of these responses, each with the output format that needs less memory.
@pytest.mark.parametrize(
    ("name", "command"),
    [
        *(("named-blanks in zstd", command) for command in COMMANDS),
        *(("events in br", command) for command in ("check", "watch as text")),
    ],
)
def test_a_bomb_of_small_items(name: str, command: str) -> None:
    response = bomb(name)
    assert len(response) < 300_000
    ran = run(response, command)
    require_budget(ran)
    if "--json" in COMMANDS[command]:
        found = json.loads(ran.out)["findings"]
        (limit,) = [one for one in found if one["code"] == "UD607"]
        assert "too many" in limit["message"] or "larger than" in limit["message"]


@pytest.mark.parametrize("command", ["check", "watch", "bench"])
def test_an_endless_stream(command: str) -> None:
    require_budget(run(ENDLESS_EVENTS, command, forever=True))


def test_a_record_of_a_bomb_can_be_analyzed_again(tmp_path: Path) -> None:
    record = tmp_path / "record"
    response = bomb("comments in gzip", 4 << 20)
    with serving(lambda conn, _: conn.sendall(response)) as server:
        first = measure("check", server.url("/sse"), "--record", str(record), "--json")
    again = measure("report", str(record), "--json")
    codes = [{one["code"] for one in json.loads(ran.out)["findings"]} for ran in (first, again)]
    assert codes[0] == codes[1]
    assert "UD607" in codes[0]
    require_budget(again)
