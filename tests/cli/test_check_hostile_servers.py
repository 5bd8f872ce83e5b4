"""`undam check` against hostile servers: a clear error or finding, and never a traceback."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support import threaded_server
from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import (
    DONE,
    JSON,
    SSE,
    head,
    replying,
    serving,
    stream,
    token,
    wait_for_disconnect,
    whole,
)
from support.undam_command import RunCommand, StartCommand

# Each case starts a process, which takes a third of a second.
pytestmark = pytest.mark.slow

Script = Callable[[socket.socket], None]

KEY = "sk-live-0123456789abcdef"
EVENTS = token() * 12


def answering(script: Script) -> AbstractContextManager[threaded_server.Server]:
    """Return a server that has no model list. undam requests the model list before the stream."""

    def answer(conn: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET /v1/models"):
            conn.sendall(whole(b"{}", "404 Not Found", JSON))
        else:
            script(conn)

    return serving(answer)


def test_a_clean_stream_is_clean(run: RunCommand) -> None:
    with answering(lambda conn: stream(conn, 20)) as server:
        ran = run("check", server.url())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("STREAMING  events arrive as they are sent")
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("status", ["401", "403", "404", "422", "429", "500"])
def test_error_response_is_shown_without_the_key_it_repeats(run: RunCommand, status: str) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": "bad\x1b[31m"}}
    with answering(
        lambda conn: conn.sendall(whole(json.dumps(body).encode(), f"{status} No", JSON))
    ) as server:
        ran = run("check", server.url(), env={"OPENAI_API_KEY": KEY})
        assert KEY in server.text
    assert (ran.code, ran.out) == (2, "")
    assert f"answered {status}" in ran.line
    assert "Incorrect API key provided: [redacted]" in ran.line
    assert "0123456789" not in ran.line
    assert "\x1b" not in ran.line


def refusing_with(body: bytes) -> Script:
    return lambda conn: conn.sendall(whole(body, "500 No", JSON))


def test_key_at_the_position_where_an_error_body_is_shortened(run: RunCommand) -> None:
    for room in range(580, 604, 4):
        with answering(refusing_with(b"x" * room + KEY.encode() + b"y" * 300)) as server:
            ran = run("check", server.url(), env={"OPENAI_API_KEY": KEY})
        assert "sk-l" not in ran.line
        assert len(ran.line) < 900


def test_endless_error_response(run: RunCommand) -> None:
    def script(conn: socket.socket) -> None:
        conn.sendall(head("503 Service Unavailable") + chunk(b"so sorry"))
        wait_for_disconnect(conn)

    with answering(script) as server:
        ran = run("check", server.url())
    assert ran.code == 2
    assert "answered 503 Service Unavailable: so sorry" in ran.line


@pytest.mark.parametrize(
    ("reply", "piece"),
    [
        (whole(b"<html><title>Welcome</title>", headers=(("Content-Type", "text/html"),)),
         "a web page"),
        (whole(b"<html><head><title>502 Bad\n Gateway</title><body>x", "502 Bad Gateway"),
         "answered 502 Bad Gateway: 502 Bad Gateway"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000 + b"\r\n", "head"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "HTTP"),
        (b"\x00\x01\x02\x03" * 100, "HTTP"),
        (b"", "closed the connection without sending a byte"),
        (b"HTTP/1.1 200 O", "closed the connection within the response head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "ontent"),
    ],
)  # fmt: skip
def test_response_that_is_not_a_stream_is_one_line(
    run: RunCommand, reply: bytes, piece: str
) -> None:
    with answering(lambda conn: conn.sendall(reply)) as server:
        ran = run("check", server.url())
    assert (ran.code, ran.out) == (2, "")
    assert piece in ran.line
    assert len(ran.line) < 500


# Response -> expected finding. The exit code is always 1.
FOUND = {
    "json instead of a stream": (whole(b'{"choices": []}', headers=JSON), "UD205"),
    "no content": (head("204 No Content", (), chunked=False), "UD604"),
    "empty body": (whole(b""), "UD604"),
    "empty chunked body": (head() + LAST_CHUNK, "UD604"),
    "ten megabytes in one event": (
        head() + chunk(b"data: " + b"x" * (10 << 20) + b"\n\n") + chunk(DONE) + LAST_CHUNK,
        "UD605",
    ),
    "binary noise": (whole(bytes(range(256)) * 200), "UD604"),
    "noise with data lines": (whole(b"data: \xff\x00\xfe\n\n" * 20), "UD605"),
    "NUL bytes": (whole(b"\x00" * 5000 + b"\n\n"), "UD604"),
    "invalid UTF-8 in an event": (whole(b"data: {\xff\xfe}\n\n"), "UD605"),
    "bad chunk size": (head() + chunk(EVENTS) + b"zz\r\nabc\r\n", "UD602"),
    "huge chunk size": (head() + chunk(EVENTS) + b"f" * 40 + b"\r\nabc", "UD602"),
    "truncated": (head() + chunk(EVENTS) + b"40\r\nabc", "UD602"),
    "clean end without [DONE]": (head() + chunk(EVENTS) + LAST_CHUNK, "UD601"),
    "no gzip": (whole(EVENTS + DONE, headers=(*SSE, ("Content-Encoding", "gzip"))), "UD604"),
    "an error of OpenAI": (
        whole(EVENTS + b'data: {"error": {"message": "boom", "code": 500}}\n\n'), "UD603",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_malformed_stream_is_a_finding(run: RunCommand, name: str) -> None:
    reply, code = FOUND[name]
    with answering(lambda conn: conn.sendall(reply)) as server:
        ran = run("check", server.url(), "--json")
    assert (ran.code, ran.err) == (1, "")
    assert code in ran.codes


def test_error_of_anthropic_inside_a_success(run: RunCommand) -> None:
    body = (
        b"event: error\ndata: "
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    with replying(whole(body)) as server:
        ran = run("check", server.url("/v1/messages"))
    assert ran.code == 1
    assert "UD603" in ran.out
    assert "Overloaded" in ran.out.splitlines()[0]


def test_reset_in_mid_stream(run: RunCommand) -> None:
    def script(conn: socket.socket) -> None:
        stream(conn, 12, end=False)
        time.sleep(0.1)
        threaded_server.reset(conn)

    with answering(script) as server:
        ran = run("check", server.url(), "--json")
    assert ran.code == 1
    assert "UD602" in ran.codes
    assert ran.json["hops"][0]["complete"] is False


def test_head_without_a_body(run: RunCommand) -> None:
    def script(conn: socket.socket) -> None:
        conn.sendall(head())
        wait_for_disconnect(conn)

    with answering(script) as server:
        ran = run("check", server.url(), "--timeout", "1")
    assert ran.code == 1
    assert "no event arrived within" in ran.out.splitlines()[0]
    assert "UD608" in ran.out


def test_no_response(run: RunCommand) -> None:
    with serving(lambda conn, _: wait_for_disconnect(conn)) as server:
        ran = run("check", server.url(), "--timeout", "1")
    assert (ran.code, ran.out) == (2, "")
    assert "sent no response head within 1 s (--timeout)" in ran.line


def test_endless_stream_is_analyzed_up_to_the_timeout(run: RunCommand) -> None:
    def script(conn: socket.socket) -> None:
        stream(conn, 20, 0.02, end=False)
        wait_for_disconnect(conn)

    with answering(script) as server:
        ran = run("check", server.url(), "--timeout", "2", "--json")
    assert ran.code == 1
    assert "UD606" in ran.codes
    assert ran.json["verdict"] == "streaming"
    assert ran.json["hops"][0]["events"] == 20


def peak_kb(process: subprocess.Popen[bytes]) -> int:
    """Return the peak memory of a process in KiB.

    The value from wait4 is unusable, because it includes the memory of the forking process.
    """
    most = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = re.search(r"VmHWM:\s*(\d+)", status.read_text())
        most = max(most, int(found[1]) if found else 0)
        time.sleep(0.01)
    return most


@pytest.mark.parametrize("form", ["plain", "bomb"])
def test_endless_bodies_are_bounded_in_memory(
    start: StartCommand, tmp_path: Path, form: str
) -> None:
    bomb = threaded_server.gzip_bomb(200)
    assert len(bomb) < 1 << 20

    def script(conn: socket.socket) -> None:
        if form == "bomb":
            conn.sendall(whole(bomb, headers=(*SSE, ("Content-Encoding", "gzip"))))
            return
        conn.sendall(head())
        block = chunk((b"data: " + b"0" * 4000 + b"\n\n") * 250)
        for _ in range(72):
            conn.sendall(block)

    with answering(script) as server, (tmp_path / "out").open("wb") as out:
        process = start("check", server.url("/events"), "--json", stdout=out)
        peak = peak_kb(process)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, b"")
    found = json.loads((tmp_path / "out").read_text())["findings"]
    assert "UD607" in {one["code"] for one in found}
    assert 30 * 1024 < peak < 300 * 1024


@pytest.mark.parametrize("place", ["event", "error", "header", "refusal", "location"])
def test_terminal_escapes_and_markup_from_a_server_are_escaped(run: RunCommand, place: str) -> None:
    evil = "\x1b]0;owned\x07\x1b[31m[bold red]\x9b2J\u202e\nerror UD101 forged"
    wire = evil.replace("\n", " ").encode()

    def script(conn: socket.socket) -> None:
        if place == "event":
            conn.sendall(whole(f"data: {evil[:24]}\n\n".encode() * 12))
        elif place == "error":
            data = json.dumps({"error": {"message": evil}}).encode()
            conn.sendall(whole(b"data: " + data + b"\n\n"))
        elif place == "header":
            conn.sendall(whole(b"{}", headers=(("Content-Type", f"x/{evil[:8]}"),)))
        elif place == "refusal":
            conn.sendall(whole(wire, "500 No", JSON))
        else:
            conn.sendall(b"HTTP/1.1 302 Found\r\nLocation: gopher://" + wire + b"\r\n\r\n")

    with answering(script) as server:
        for form in ([], ["--json"]):
            ran = run("check", server.url(), *form)
            assert ran.code in {1, 2}
            shown = ran.out + ran.err
            assert shown.replace("\n", "").isprintable()
            assert not any(line.startswith("error UD101") for line in shown.splitlines())


def test_hop_name_with_markup_on_a_terminal(run: RunCommand, start: StartCommand) -> None:
    with answering(lambda conn: stream(conn, 12)) as server:
        ran = run("check", server.url(), "--hop", f"[/]\x1b[31m={server.url()}")
    assert ran.code == 0
    assert "[/]\\x1b[31m" in ran.out
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("command", ["check", "watch"])
def test_redirect_to_another_origin_needs_permission(run: RunCommand, command: str) -> None:
    with answering(lambda conn: stream(conn, 12)) as far:
        away = (("Location", far.url()), ("Content-Length", "0"))
        with replying(head("307 Temporary Redirect", away, chunked=False)) as near:
            args = [near.url(), "-H", "X-Any-Token: hunter2222"]
            env = {"OPENAI_API_KEY": KEY}
            ran = run(command, *args, env=env)
            assert (ran.code, ran.out, far.requests) == (2, "", [])
            assert f"redirects to another origin: {far.url()}" in ran.line
            ran = run(command, *args, "--location", env=env)
            assert KEY in near.text
    assert ran.code == 0
    assert len(far.requests) >= 2  # One request for the model list and one for the stream.
    assert KEY not in far.text
    assert "hunter2222" not in far.text
    assert "messages" not in far.text


def test_headers_from_a_file(run: RunCommand, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer hunter2222\n\nX-Other: 1\n")
    with answering(lambda conn: stream(conn, 12)) as server:
        for command in ("check", "watch"):
            assert run(command, server.url(), "-H", f"@{file}").code == 0
        load = ("-n", "1", "-c", "1", "--warmup", "0")
        assert run("bench", server.url(), "-H", f"@{file}", *load).code in {0, 1}
    streams = [one.decode().lower() for one in server.requests if b"POST" in one]
    assert len(streams) >= 3
    for one in streams:
        assert "authorization: bearer hunter2222\r\n" in one
        assert "x-other: 1\r\n" in one
    file.write_text("hunter2222\n")
    for arg in (f"@{file}", "@/nonexistent"):
        ran = run("check", server.url(), "-H", arg)
        assert ran.code == 2
        assert "hunter2222" not in ran.line
