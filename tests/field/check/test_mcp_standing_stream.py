"""Standing stream of an MCP server: an idle stream is healthy; a stream with a held head is not."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import JSON, SSE, Server, head, serving, wait_for_disconnect, whole
from support.undam_command import invoke
from undam.errors import UndamError

pytestmark = pytest.mark.slow  # observes silence

IDLE_S = "1.2"

Get = Callable[[socket.socket], None]


@contextmanager
def mcp_server(get: Get, *, as_stream: bool = False, ping: bool = True) -> Iterator[Server]:
    """Run an MCP server; ``get`` handles the connection for the standing stream.

    Args:
        as_stream: answer requests with an event stream instead of JSON.
        ping: answer pings.
    """

    def script(conn: socket.socket, request: bytes) -> None:
        first, _, body = request.partition(b"\r\n\r\n")
        if first.startswith(b"GET "):
            get(conn)
            return
        if first.startswith(b"DELETE "):
            conn.sendall(whole(b"", "204 No Content", ()))
            return
        message = json.loads(body)
        if "id" not in message:
            conn.sendall(whole(b"", "202 Accepted", ()))
        elif message["method"] == "ping" and not ping:
            wait_for_disconnect(conn)
        else:
            answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}).encode()
            session = ("Mcp-Session-Id", "s-1")
            if as_stream:
                conn.sendall(head(headers=(*SSE, session)) + chunk(b"data: " + answer + b"\n\n"))
                wait_for_disconnect(conn)
            else:
                conn.sendall(whole(answer, headers=(*JSON, session)))

    with serving(script) as server:
        yield server


def silent(conn: socket.socket) -> None:
    conn.sendall(head())
    wait_for_disconnect(conn)


def talkative(conn: socket.socket) -> None:
    conn.sendall(head())
    for number in range(3):
        message = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"p": number}}
        conn.sendall(chunk(b"data: " + json.dumps(message).encode() + b"\n\n"))
        conn.sendall(chunk(b": ping\n\n"))
    conn.sendall(chunk(b'data: {"jsonrpc":"2.0","id":1,"method":"ping"}\n\n'))
    wait_for_disconnect(conn)


def held(delay_s: float) -> Get:
    def handle(conn: socket.socket) -> None:
        time.sleep(delay_s)
        silent(conn)

    return handle


def never(conn: socket.socket) -> None:
    wait_for_disconnect(conn)


def cut(conn: socket.socket) -> None:
    conn.sendall(head())
    time.sleep(0.4)


def ended(conn: socket.socket) -> None:
    conn.sendall(head() + LAST_CHUNK)


def check(server: Server, *options: str) -> tuple[int, dict[str, object], list[str]]:
    """Return the exit code, the ``mcp`` field and the finding codes of a check."""
    arguments = ("check", "--mcp", server.url("/mcp"), "--idle", IDLE_S, "--json", *options)
    ran = invoke(*arguments)
    return ran.code, ran.json["mcp"], [one["code"] for one in ran.json["findings"]]


@pytest.mark.parametrize("as_stream", [False, True])
def test_a_silent_stream_with_its_head_in_time_is_healthy(as_stream: bool) -> None:
    with mcp_server(silent, as_stream=as_stream) as server:
        code, seen, codes = check(server)
    assert (code, codes) == (0, [])
    assert seen["head_ms"] is not None
    assert (seen["events"], seen["ended_after_s"], seen["has_session"]) == (0, None, True)
    assert seen["ping_ms"] is not None
    gets = [one for one in server.requests if one.startswith(b"GET ")]
    assert b"mcp-session-id: s-1" in gets[0].lower()
    assert b"accept: text/event-stream" in gets[0].lower()
    assert any(one.startswith(b"DELETE ") for one in server.requests)


def test_messages_comments_and_pings_are_counted() -> None:
    with mcp_server(talkative, ping=False) as server:
        code, seen, codes = check(server)
    assert (code, codes) == (0, [])
    assert (seen["events"], seen["comments"], seen["server_pings"]) == (3, 3, 1)
    assert seen["ping_ms"] is None


def test_a_head_that_is_held_is_an_error() -> None:
    with mcp_server(held(1.5)) as server:
        code, seen, codes = check(server)
    assert (code, codes) == (1, ["UD618"])
    head_ms = seen["head_ms"]
    assert isinstance(head_ms, float)
    assert head_ms > 1400


def test_a_head_that_never_arrives_is_an_error() -> None:
    with mcp_server(never) as server:
        code, seen, codes = check(server, "--timeout", "2")
    assert (code, codes, seen["head_ms"]) == (1, ["UD618"], None)


@pytest.mark.parametrize("end", [cut, ended])
def test_a_stream_that_ends_is_a_warning(end: Get) -> None:
    with mcp_server(end) as server:
        code, seen, codes = check(server)
    assert (code, codes) == (1, ["UD620"])
    assert seen["ended_after_s"] is not None
    assert seen["ended_cleanly"] is (end is ended)


def test_a_server_without_a_standing_stream_is_clean() -> None:
    with mcp_server(lambda conn: conn.sendall(whole(b"", "405 No", ()))) as server:
        code, seen, codes = check(server)
    assert (code, codes, seen["offered"]) == (0, ["UD619"], False)


def test_the_text_states_the_verdict_and_what_arrived() -> None:
    with mcp_server(silent) as server:
        ran = invoke("check", "--mcp", server.url("/mcp"), "--idle", IDLE_S)
    assert ran.out.startswith("STREAMING  the standing stream is open for events\n")
    assert "still open after" in ran.out


def polled(conn: socket.socket) -> None:
    conn.sendall(head() + chunk(b"id: 1\nretry: 3000\ndata: \n\n") + LAST_CHUNK)


def as_json(conn: socket.socket) -> None:
    conn.sendall(whole(b'{"jsonrpc":"2.0","id":null,"error":{}}', headers=JSON))


def test_a_stream_that_the_server_wants_to_be_polled_is_clean() -> None:
    with mcp_server(polled) as server:
        code, report, codes = check(server)
    assert (code, codes) == (0, ["UD620"])
    assert report["retry_ms"] == 3000


@pytest.mark.parametrize(
    ("get", "message"),
    [
        (as_json, "with the type 'application/json' instead of an event stream"),
        (lambda conn: conn.sendall(whole(b"no", "404 Not Found", ())), "usually ends in /mcp"),
    ],
)
def test_an_answer_that_is_not_a_stream_is_an_error(get: Get, message: str) -> None:
    with mcp_server(get) as server, pytest.raises(UndamError, match=message):
        invoke("check", server.url("/mcp"), "--mcp", "--idle", IDLE_S)
