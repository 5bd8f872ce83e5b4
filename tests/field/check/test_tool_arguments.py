"""Case research/03: tool arguments that arrive all at once after a pause have their own rule."""

from __future__ import annotations

import json
import socket
import time

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import DONE, Server, head, serving, token
from support.undam_command import invoke

pytestmark = pytest.mark.slow  # waits for silences


def call(arguments: str) -> bytes:
    function = {"name": "write", "arguments": arguments}
    delta = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def serve(conn: socket.socket, silence_s: float, pieces: list[str]) -> None:
    """Send reasoning, pause, and then send a tool call in fragments."""
    conn.sendall(head())
    for number in range(30):
        delta = {"reasoning_content": f"think {number} "}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        conn.sendall(chunk(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"))
        time.sleep(0.02)
    time.sleep(silence_s)
    for piece in pieces:
        conn.sendall(chunk(call(piece)))
        time.sleep(0.02 if len(pieces) > 2 else 0.001)
    conn.sendall(chunk(DONE) + LAST_CHUNK)


def codes(server: Server, *options: str) -> tuple[int, list[str]]:
    ran = invoke("check", server.url(), "--model", "m", "--json", *options)
    return ran.code, [one["code"] for one in ran.json["findings"] if one["severity"] != "info"]


@pytest.mark.parametrize("pieces", [["", "x" * 3000], ["x" * 900], ["y" * 20_000, "z" * 20_000]])
def test_arguments_in_one_piece_after_silence_are_reported(pieces: list[str]) -> None:
    with serving(lambda conn, _: serve(conn, 2.0, pieces)) as server:
        assert codes(server) == (1, ["UD504"])


@pytest.mark.parametrize(
    ("silence_s", "pieces"),
    [(2.0, ["x" * 20] * 60), (2.0, ['{"city": "Paris"}']), (0, ["x" * 900])],
)
def test_arguments_that_stream_or_are_short_are_not(silence_s: float, pieces: list[str]) -> None:
    with serving(lambda conn, _: serve(conn, silence_s, pieces)) as server:
        assert codes(server) == (0, [])


def test_text_alone_is_not_a_tool_call() -> None:
    def script(conn: socket.socket, _: bytes) -> None:
        conn.sendall(head())
        for _number in range(30):
            conn.sendall(chunk(token()))
            time.sleep(0.02)
        conn.sendall(chunk(DONE) + LAST_CHUNK)

    with serving(script) as server:
        assert codes(server) == (0, [])
