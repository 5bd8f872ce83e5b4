"""Keys and passwords are sent only to their own servers and are never printed, even if echoed."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.chunked import chunk
from support.threaded_server import DONE, JSON, SSE, Server, head, serving, token, whole
from support.undam_command import RunCommand

# Each case starts a process, which takes a third of a second.
pytestmark = pytest.mark.slow

# The secrets follow no vendor's format, so only exact matches detect them. They contain characters
# that are escaped.
KEY = "kEy/0f+tHe=Us3r"
PASSWORD = "hunter22-Passw0rd"

# name -> (options, environment, path and query, user information of the URL)
WAYS: dict[str, tuple[list[str], dict[str, str], str, str]] = {
    "OPENAI_API_KEY": ([], {"OPENAI_API_KEY": KEY}, "/v1/chat/completions", ""),
    "ANTHROPIC_API_KEY": ([], {"ANTHROPIC_API_KEY": KEY}, "/v1/messages", ""),
    "Authorization": (["-H", f"Authorization: Bearer {KEY}"], {}, "/events", ""),
    "x-api-key": (["-H", f"x-api-key: {KEY}"], {}, "/v1/messages", ""),
    "own header": (["-H", f"X-My-Session-Token: {KEY}"], {}, "/events", ""),
    "cookie": (["-H", f"Cookie: a=b; session={KEY}"], {}, "/events", ""),
    "user information": ([], {}, "/events", f"me:{PASSWORD}@"),
    "user alone": ([], {}, "/events", f"{PASSWORD}@"),
    "parameter": ([], {}, f"/events?a=b&api_key={PASSWORD}", ""),
    "Basic": (
        ["-H", "Authorization: Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()],
        {}, "/events", "",
    ),
}  # fmt: skip


def forms(secret: str) -> list[str]:
    """Return all encodings in which a secret may appear."""
    pair = base64.b64encode(f"me:{secret}".encode()).decode()
    alone = base64.b64encode(f"{secret}:".encode()).decode()
    return [secret, secret.replace("/", "\\/"), pair, alone, secret[:-1], secret[3:]]


def echo_everywhere(conn: socket.socket, request: bytes) -> None:
    """Echo the request, escaped as in JSON, in headers, in events and in an error event.

    The plain secrets are also sent, split across reads.
    """
    said = request.decode("latin-1")
    line = " ".join(said.split())
    conn.sendall(head(headers=(*SSE, ("X-Echo", line), ("Server", f"nginx {line[-60:]}"))))
    for part in (said, said.replace("/", "\\/"), KEY, PASSWORD):
        conn.sendall(chunk(token(part)))
    event = token(KEY) + token(PASSWORD)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(event), 11):
        time.sleep(0.003)  # A separate read.
        conn.sendall(chunk(event[at : at + 11]))
    conn.sendall(chunk(b"data: " + b'{"error":{"message":"no: ' + KEY.encode() + b" "
                       + PASSWORD.encode() + b'"}}\n\n') + chunk(DONE))  # fmt: skip


def refuse(conn: socket.socket, request: bytes) -> None:
    body = json.dumps({"error": request.decode("latin-1")}).encode()
    conn.sendall(whole(body + body.replace(b"/", b"\\/"), "401 Unauthorized", JSON))


def misdirect(conn: socket.socket, request: bytes) -> None:
    where = " ".join(request.decode("latin-1").split()).replace(" ", "%20")
    conn.sendall(f"HTTP/1.1 302 Found\r\nLocation: gopher://h/{where}\r\n\r\n".encode())


def asked(server: Server, way: str) -> tuple[list[str], dict[str, str]]:
    options, env, path, userinfo = WAYS[way]
    url = server.url(path).replace("://", f"://{userinfo}")
    return ["check", url, "--hop", f"inner={url}", *options], env


def assert_hidden(text: str) -> None:
    for secret in (KEY, PASSWORD):
        for form in forms(secret):
            assert form not in text


@pytest.mark.parametrize("way", WAYS)
def test_secret_is_sent_but_never_shown(run: RunCommand, tmp_path: Path, way: str) -> None:
    record, file = tmp_path / "record", tmp_path / "json"
    with serving(echo_everywhere) as server:
        args, env = asked(server, way)
        ran = run(*args, "--record", str(record), "--json", str(file), env=env)
        assert any(form in server.text for form in [*forms(KEY)[:4], *forms(PASSWORD)[:4]])
    assert ran.code == 1, ran.err
    # If the user gave only one of key and password, the other is not a secret in this run.
    secret = PASSWORD if PASSWORD in repr(WAYS[way]) or way == "Basic" else KEY
    texts = [ran.out, ran.err, record.read_text(), file.read_text()]
    decoded = [
        base64.b64decode(line["base64"]).decode("latin-1")
        for line in map(json.loads, texts[2].splitlines())
        if "base64" in line
    ]
    body = "".join(line.get("text", "") for line in map(json.loads, texts[2].splitlines()))
    for text in [*texts, *decoded, body]:
        for form in forms(secret)[:4]:
            assert form not in text
    assert "UD603" in texts[3]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", [refuse, misdirect])
def test_error_repeats_no_secret(
    run: RunCommand, way: str, script: Callable[[socket.socket, bytes], None]
) -> None:
    with serving(script) as server:
        args, env = asked(server, way)
        ran = run(*args, env=env)
    assert ran.code == 2
    assert_hidden(ran.line)


def test_password_of_a_proxy(run: RunCommand, tmp_path: Path) -> None:
    record = tmp_path / "record"
    with serving(echo_everywhere) as proxy:
        url = proxy.url("").replace("://", f"://me:{PASSWORD}@")
        ran = run(
            "check", "http://h.test/events", "--proxy", url, "--record", str(record), "--json"
        )
        assert "Proxy-Authorization: Basic" in proxy.text
    assert ran.code == 1
    for text in (ran.out, ran.err, record.read_text()):
        for form in forms(PASSWORD)[:4]:
            assert form not in text


def test_key_of_the_environment_goes_only_to_paths_of_its_api(run: RunCommand) -> None:
    env = {"OPENAI_API_KEY": "openai-" + KEY, "ANTHROPIC_API_KEY": "anthropic-" + KEY}
    with serving(lambda conn, _: conn.sendall(whole(token() * 9))) as server:
        for path, wanted in [
            ("/v1/chat/completions", "openai-"),
            ("/v1/completions", "openai-"),
            ("/v1/responses", "openai-"),
            ("/v1/messages", "anthropic-"),
            ("/events", None),
            ("/", "openai-"),  # For a base URL, undam requests the chat endpoint.
        ]:
            server.requests.clear()
            run("check", server.url(path), env=env)
            assert server.requests
            for name in ("openai-", "anthropic-"):
                assert (name + KEY in server.text) == (name == wanted), path


@pytest.mark.parametrize(
    ("options", "userinfo", "query"),
    [
        (["-H", "authorization: Bearer mine"], "", ""),
        (["-H", "API-Key: mine"], "", ""),
        ([], "me:mine@", ""),
        ([], "", "?key=mine"),
    ],
)
def test_key_of_the_environment_is_not_added_to_explicit_credentials(
    run: RunCommand, options: list[str], userinfo: str, query: str
) -> None:
    with serving(lambda conn, _: conn.sendall(whole(token() * 9))) as server:
        for path in ("/v1/chat/completions", "/v1/messages"):
            url = server.url(path + query).replace("://", f"://{userinfo}")
            run("check", url, *options, env={"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY})
    assert len(server.requests) >= 2
    assert KEY not in server.text


def test_key_of_the_environment_may_end_with_a_newline(run: RunCommand) -> None:
    """Keys that are read from files end with a newline."""
    with serving(lambda conn, _: conn.sendall(whole(token() * 9 + DONE))) as server:
        ran = run("check", server.url(), env={"OPENAI_API_KEY": KEY + "\n"})
    assert ran.err == ""
    assert f"Bearer {KEY}\r\n" in server.text
