"""Case check/06: each hop gets its own request, and a failed hop does not end the check."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.lossy_relay import plain_events
from support.threaded_server import JSON, Server, head, serving, whole
from support.undam_command import CompletedCommand, run_undam

TEXTS = [f"word{n} " for n in range(12)]
Script = Callable[[socket.socket, bytes], None]


def _stream(conn: socket.socket) -> None:
    conn.sendall(head())
    for event in plain_events(TEXTS):
        conn.sendall(chunk(event))
        time.sleep(0.01)
    conn.sendall(LAST_CHUNK)


def _refuse(conn: socket.socket, status: str, message: str) -> None:
    conn.sendall(whole(json.dumps({"error": {"message": message}}).encode(), status, JSON))


def _strict(*, key: str = "", model: str = "", field: str = "messages") -> Script:
    """Return a model server that accepts only the given key, model and body format."""

    def serve(conn: socket.socket, request: bytes) -> None:
        top, _, body = request.partition(b"\r\n\r\n")
        if key and f"Authorization: Bearer {key}\r\n".encode() not in top + b"\r\n":
            _refuse(conn, "401 Unauthorized", "Incorrect API key provided")
        elif top.startswith(b"GET"):
            listed = {"data": [{"id": model}]} if model else {}
            conn.sendall(whole(json.dumps(listed).encode(), "200 OK", JSON))
        elif field not in json.loads(body):
            _refuse(conn, "400 Bad Request", f"{field}: Field required")
        elif model and json.loads(body).get("model") != model:
            _refuse(conn, "400 Bad Request", "Invalid model name passed in model=x")
        else:
            _stream(conn)

    return serve


def _check(*args: str, **env: str) -> CompletedCommand:
    return run_undam("check", *args, "--json", env=env)


def _rows(done: CompletedCommand) -> dict[str, dict[str, object]]:
    return {hop["name"]: hop for hop in done.json["hops"]}


@pytest.fixture
def inner() -> Iterator[Server]:
    """Run a model server whose key and model differ from those of the outer hop."""
    with serving(_strict(key="inner-key", model="real-name")) as server:
        yield server


def test_an_application_outside_and_a_model_server_inside() -> None:
    with serving(_strict(field="message")) as edge, serving(_strict(model="real")) as model:
        done = _check(
            edge.url("/dify/api/chat"), "--data", '{"message": "hi"}',
            "--hop", f"model={model.url()}",
        )  # fmt: skip
    rows = _rows(done)
    assert rows["edge"]["events"] == rows["model"]["events"] == 12, done.out
    assert b'"message": "hi"' not in model.requests[-1]
    assert b'"model": "real"' in model.requests[-1]


def test_each_hop_has_its_own_model_list() -> None:
    with serving(_strict(model="alias")) as edge, serving(_strict(model="real")) as model:
        done = _check(edge.url(), "--hop", f"model={model.url()}")
    assert [row["events"] for row in _rows(done).values()] == [12, 12], done.out


def test_each_hop_has_its_own_header_and_model(inner: Server) -> None:
    with serving(_strict(key="outer-key", model="alias")) as edge:
        done = _check(
            edge.url(), "-H", "Authorization: Bearer outer-key", "--model", "alias",
            "--hop", f"model={inner.url()}",
            "--hop-header", "model=Authorization: Bearer inner-key",
            "--hop-model", "model=real-name",
        )  # fmt: skip
    assert [row["events"] for row in _rows(done).values()] == [12, 12], done.out
    assert "outer-key" not in inner.text
    assert "inner-key" not in edge.text
    assert "inner-key" not in done.out
    assert "outer-key" not in done.out


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (("-H", "Authorization: Bearer secret-of-edge"), {}),
        (("-H", "X-Api-Key: secret-of-edge", "-H", "Cookie: s=secret-of-edge"), {}),
        ((), {"OPENAI_API_KEY": "secret-of-edge"}),
    ],
)
def test_a_key_is_not_sent_to_another_origin(args: tuple[str, ...], env: dict[str, str]) -> None:
    with serving(_strict()) as edge, serving(_strict()) as model:
        done = _check(edge.url(), "--hop", f"model={model.url()}", *args, **env)
    assert done.code == 0, done.out
    assert "secret-of-edge" in edge.text
    assert "secret-of-edge" not in model.text


def test_another_path_of_the_same_origin_gets_the_key() -> None:
    with serving(_strict(key="secret-of-edge")) as edge:
        done = _check(
            edge.url("/a/v1/chat/completions"), "--hop", f"model={edge.url()}",
            "-H", "Authorization: Bearer secret-of-edge",
        )  # fmt: skip
    assert [row["events"] for row in _rows(done).values()] == [12, 12], done.out


def test_a_hop_that_refuses_is_a_finding_with_the_option_that_helps(inner: Server) -> None:
    with serving(_strict()) as edge:
        done = _check(edge.url(), "--hop", f"model={inner.url()}")
    assert done.code == 1
    (failed,) = [one for one in done.json["findings"] if one["code"] == "UD617"]
    assert failed["hop"] == "model"
    assert "401" in failed["message"]
    assert "--hop-header model=" in failed["fix"]["text"]
    rows = _rows(done)
    assert done.json["verdict"] == rows["edge"]["verdict"] != "unknown"
    assert rows["model"]["verdict"] == "unknown"
    assert "401" in str(rows["model"]["error"])


@pytest.mark.parametrize("which", ["edge", "model"])
def test_an_unreachable_hop_is_a_finding(which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/v1/chat/completions"
    with serving(_strict()) as live:
        urls = {"edge": live.url(), "model": live.url(), which: dead}
        done = _check(urls["edge"], "--hop", f"model={urls['model']}")
        text = run_undam("check", urls["edge"], "--hop", f"model={urls['model']}")
    assert done.code == text.code == 1, done.err
    (failed,) = [one for one in done.json["findings"] if one["code"] == "UD617"]
    assert failed["hop"] == which
    assert [hop["name"] for hop in done.json["hops"]] == ["edge", "model"]
    assert (done.json["verdict"] == "unknown") == (which == "edge")
    assert "UD617" in text.out


def test_if_no_hop_answers_the_check_cannot_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/v1/chat/completions"
    done = run_undam("check", dead, "--hop", f"model={dead}")
    assert done.code == 2
    assert "connection refused" in done.line


def test_hop_curl_and_hop_data(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"inputs": "x"}')
    with serving(_strict()) as edge, serving(_strict(key="k-of-curl", field="inputs")) as model:
        curl = f"curl {model.url('/generate')} -H 'Authorization: Bearer k-of-curl' -d '{{}}'"
        done = _check(edge.url(), "--hop-curl", f"model={curl}", "--hop-data", f"model=@{body}")
    assert [row["events"] for row in _rows(done).values()] == [12, 12], done.out
    assert "k-of-curl" not in done.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--hop-model", "other=m"), "no such hop.*edge, model"),
        (("--hop-header", "model"), "--hop-header: expected NAME=VALUE"),
        (("--hop-header", "model=secret-without-colon"), "--hop-header: expected 'Name: value'"),
        (("--hop-data", "model=@/does/not/exist"), "--hop-data .*No such file"),
        (("--hop-curl", "model=wget http://x"), "--curl: the text does not begin with curl"),
    ],
)
def test_invalid_options_are_rejected(args: tuple[str, ...], words: str) -> None:
    done = run_undam("check", "http://127.0.0.1:1/x", "--hop", "model=http://127.0.0.1:1/y", *args)
    assert done.code == 2
    assert re.search(words, done.line), done.line
    assert "secret-without-colon" not in done.err
