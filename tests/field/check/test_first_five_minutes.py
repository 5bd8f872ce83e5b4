"""Case check/14: a new user's first command works or prints a helpful hint."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import DONE, JSON, Server, head, serving, token, whole
from support.undam_command import CompletedCommand, run_undam

pytestmark = pytest.mark.slow  # starts processes

BODY = '{"prompt": "hi", "id": "\U0001f600"}'


def application(conn: socket.socket, request: bytes) -> None:
    """Answer some paths like an application behind a login, and others like a model server."""
    top, _, body = request.partition(b"\r\n\r\n")
    method, path, _ = top.split(b"\r\n")[0].split(b" ")
    if path.startswith(b"/postonly"):
        if method == b"GET":
            refuse(conn, "405 Method Not Allowed", "Method Not Allowed")
        elif not body:
            refuse(conn, "422 Unprocessable Entity", "Field required")
        elif b"cookie: session=abc" not in top.lower():
            refuse(conn, "401 Unauthorized", "log in")
        elif json.loads(body) != json.loads(BODY):
            refuse(conn, "400 Bad Request", "wrong body")
        else:
            stream(conn)
    elif path.startswith(b"/auth"):
        refuse(conn, "401 Unauthorized", "Incorrect API key provided")
    elif path.startswith(b"/csrf"):
        refuse(conn, "403 Forbidden", "CSRF Failed: CSRF token missing.")
    elif path.startswith(b"/nomodel"):
        refuse(conn, "404 Not Found", "The model `default` does not exist.")
    elif path.endswith(b"/models"):
        listed = [{"id": "text-embedding-3-small"}, {"id": "m"}, {"id": "other"}]
        conn.sendall(whole(json.dumps({"data": listed}).encode(), headers=JSON))
    elif path == b"/v1/chat/completions" and method == b"POST":
        stream(conn)
    else:
        refuse(conn, "404 Not Found", "Not Found")


def refuse(conn: socket.socket, status: str, message: str) -> None:
    conn.sendall(whole(json.dumps({"error": message}).encode(), status, JSON))


def stream(conn: socket.socket) -> None:
    conn.sendall(head())
    for _ in range(30):
        conn.sendall(chunk(token()))
        time.sleep(0.01)
    conn.sendall(chunk(DONE) + LAST_CHUNK)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(application) as running:
        yield running


def check(*arguments: str, **env: str) -> CompletedCommand:
    return run_undam("check", *arguments, "--no-experiments", env=env)


def test_a_base_url_means_its_chat_endpoint(server: Server) -> None:
    for base in ("/v1", "/v1/", ""):
        assert check(server.url(base)).out.startswith("STREAMING")
    assert check(OPENAI_BASE_URL=server.url("/v1")).out.startswith("STREAMING")
    assert "OPENAI_BASE_URL is not set" in check().line
    assert all(b'"model": "m"' in one for one in server.requests if one.startswith(b"POST"))
    asked = {one.split(b" ")[1] for one in server.requests if one.startswith(b"POST")}
    assert asked == {b"/v1/chat/completions"}


@pytest.mark.parametrize("option", ["-d", "--data"])
def test_the_options_of_curl(server: Server, option: str) -> None:
    cookie = ("-H", "Cookie: session=abc")
    ran = check("-k", "-X", "POST", option, BODY, *cookie, server.url("/postonly/api/chat"))
    assert ran.out.startswith("STREAMING")


@pytest.mark.parametrize("from_file", [False, True])
def test_a_request_copied_from_a_browser_gets_a_verdict_with_one_command(
    server: Server, from_file: bool, tmp_path: Path
) -> None:
    escaped = BODY.replace("\U0001f600", "\\ud83d\\ude00")
    command = (
        f"curl '{server.url('/postonly/api/chat')}' \\\n"
        "  -H 'accept: */*' \\\n  -H 'accept-encoding: gzip, deflate, br, zstd' \\\n"
        "  -H 'content-type: application/json' \\\n  -b 'session=abc' \\\n"
        f"  --data-raw $'{escaped}' \\\n  --insecure"
    )
    if from_file:
        file = tmp_path / "request.txt"
        file.write_text(command, encoding="utf-8")
        command = f"@{file}"
    ran = check("--curl", command, "--json")
    assert (ran.code, ran.json["verdict"]) == (0, "streaming")


@pytest.mark.parametrize(
    ("path", "arguments", "hint"),
    [
        ("/postonly/api/chat", (), "send its body with --data"),
        ("/postonly/api/chat", ("--method", "POST"), "send it with --data"),
        ("/postonly/api/chat", ("-d", "{}"), "--curl"),
        ("/nomodel/v1/chat/completions", (), "name one with --model"),
        ("/nomodel/v1/chat/completions", ("--model", "x"), "name another model with --model"),
        ("/auth/v1/chat/completions", (), "pass the key with -H"),
        (
            "/auth/v1/chat/completions",
            ("-H", "Authorization: Bearer k"),
            "header Authorization was",
        ),
        ("/csrf/api", (), "needs a CSRF token"),
        ("/elsewhere", (), "is the path right?"),
    ],
)
def test_a_refusal_has_the_hint_that_helps(
    server: Server, path: str, arguments: tuple[str, ...], hint: str
) -> None:
    ran = check(server.url(path), *arguments)
    assert ran.code == 2
    assert hint in ran.line


def test_a_key_of_the_environment_that_was_refused_is_named(server: Server) -> None:
    ran = check(server.url("/auth/v1/chat/completions"), OPENAI_API_KEY="sk-secret-1")
    assert "the key in OPENAI_API_KEY was sent and refused" in ran.line
    assert "sk-secret-1" not in ran.line


def test_https_to_a_plain_port_is_reported_at_once() -> None:
    def waits(conn: socket.socket, request: bytes) -> None:
        if request.startswith(b"OPTIONS"):
            conn.sendall(whole(b"", "400 Bad Request", ()))
        else:
            conn.recv(65536)

    with serving(waits) as running:
        started = time.monotonic()
        ran = check(running.url(scheme="https"))
        took = time.monotonic() - started
    assert "does not use TLS on this port" in ran.line
    assert "try http://" in ran.line
    assert took < 9  # The handshake timeout is 10 s.
