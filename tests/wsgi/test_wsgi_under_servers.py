"""`undam.wsgi` in Flask and Django, under real WSGI servers and over real connections."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import flask
import pytest
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]

from support import django_site
from support.live import skip_or_fail
from support.uvicorn_thread import TIMEOUT_S, Gate, RawResponse, read_raw
from undam.lab.proxies import Missing
from undam.wsgi import event_stream
from undam.wsgi.flask import event_stream_response

pytestmark = pytest.mark.live

PING = b": ping\n\n"


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None: ...


@contextlib.contextmanager
def _under_wsgiref(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, server_class=_Threaded, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(TIMEOUT_S)


def _opening(gate: Gate) -> Callable[[RawResponse], bool]:
    def on_read(raw: RawResponse) -> bool:
        # The first event and the heartbeats arrive while the source is still waiting.
        if b"data: one\n\n" in raw.data and raw.data.count(PING) >= 3:
            gate.open()
        return True

    return on_read


def _gated(gate: Gate) -> Iterator[str]:
    yield "one"
    gate.wait()
    yield "two"


def _assert_streamed(raw: RawResponse, gate: Gate) -> None:
    assert not gate.held
    assert raw.data.index(b": open\n") < raw.data.index(b"data: one\n\n") < raw.data.index(PING)
    assert raw.data.rindex(PING) < raw.data.index(b"data: two\n\n")
    assert raw.head["x-accel-buffering"] == "no"
    assert raw.head["cache-control"] == "no-cache, no-transform"
    assert raw.head["content-type"] == "text/event-stream; charset=utf-8"


def test_flask_streams_with_heartbeats_and_the_source_may_use_the_request() -> None:
    app, gate = flask.Flask(__name__), Gate()
    reasons: list[str] = []

    @app.get("/stream")
    def stream() -> flask.Response:
        def source() -> Iterator[str]:
            yield flask.request.args["name"]
            yield from _gated(gate)

        return event_stream_response(
            source, heartbeat=0.05, status=203, headers={"X-Own": "1"}, on_close=reasons.append
        )

    @app.get("/parts")
    def parts() -> Any:
        status, headers, body = event_stream(["a"])
        return body, status, headers

    with _under_wsgiref(app) as url:
        raw = read_raw(f"{url}/stream?name=ada", on_read=_opening(gate))
        _assert_streamed(raw, gate)
        assert b"data: ada\n\n" in raw.data
        assert (raw.status, raw.head["x-own"]) == (203, "1")
        head = read_raw(f"{url}/stream?name=ada", "HEAD")
        assert head.head["x-accel-buffering"] == "no"
        assert head.data.endswith(b"\r\n\r\n")
        assert read_raw(f"{url}/parts").data.endswith(b"\r\n\r\n: open\ndata: a\n\n")
    assert reasons == ["complete", "client-left"]


def test_django_streams_with_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(django_site, "plain_source", lambda: _gated(gate))
    with _under_wsgiref(get_wsgi_application()) as url:
        raw = read_raw(f"{url}/wsgi", on_read=_opening(gate))
    _assert_streamed(raw, gate)
    assert (raw.status, raw.head["x-own"]) == (203, "1")


def test_a_disconnect_is_detected_at_a_heartbeat() -> None:
    closed = threading.Event()
    reasons: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        def source() -> Iterator[str]:
            yield "one"
            closed.wait(TIMEOUT_S)

        def on_close(reason: str) -> None:
            reasons.append(reason)
            closed.set()

        status, headers, body = event_stream(source, heartbeat=0.02, on_close=on_close)
        start_response(status, headers)
        return body

    with _under_wsgiref(app) as url:
        read_raw(url, on_read=lambda raw: b"one" not in raw.data)
        assert closed.wait(TIMEOUT_S / 2)
    assert reasons == ["client-left"]


_SITE = """
import threading
from undam.wsgi import event_stream

go = threading.Event()

def app(environ, start_response):
    path = environ["PATH_INFO"]

    def source():
        yield "one"
        if not go.wait(10):
            yield "unread"
        if path == "/fail":
            raise ValueError("the secret")
        yield "two"

    if path == "/go":
        go.set()
    status, headers, body = event_stream([] if path == "/go" else source, heartbeat=0.05)
    start_response(status, headers)
    return body
"""


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if importlib.util.find_spec("gunicorn") is None:
        skip_or_fail(Missing("gunicorn", "pip install gunicorn"))
    folder: Path = tmp_path_factory.mktemp("gunicorn")
    (folder / "site_under_test.py").write_text(_SITE)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    command = [
        *(sys.executable, "-m", "gunicorn", "-b", f"fd://{listener.fileno()}", "-k", "gthread"),
        *("-w", "1", "--threads", "4", "--worker-tmp-dir", str(folder), "--graceful-timeout", "1"),
        "site_under_test:app",
    ]
    with (folder / "log").open("wb") as log, listener:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=folder,
            pass_fds=[listener.fileno()],
            env={**os.environ, "HOME": str(folder)},  # gunicorn creates a socket in HOME
        )
    try:
        give_up = time.monotonic() + TIMEOUT_S
        while True:
            try:
                read_raw(f"{url}/ready", "HEAD", on_read=lambda raw: False)
                break
            except OSError:
                output = (folder / "log").read_text()
                assert process.poll() is None, output
                assert time.monotonic() < give_up, output
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_gunicorn_sends_each_event_and_heartbeat_immediately(gunicorn: str) -> None:
    asked: list[RawResponse] = []

    def on_read(raw: RawResponse) -> bool:
        if not asked and b"data: one\n\n" in raw.data and raw.data.count(PING) >= 3:
            asked.append(read_raw(f"{gunicorn}/go"))
        return True

    raw = read_raw(gunicorn, on_read=on_read)
    assert asked
    assert b"unread" not in raw.data
    assert b"data: two\n\n" in raw.data
    assert not raw.truncated


def test_gunicorn_cuts_a_stream_whose_source_fails(gunicorn: str) -> None:
    read_raw(f"{gunicorn}/go")
    raw = read_raw(f"{gunicorn}/fail")
    assert b"event: error" in raw.data
    assert b"secret" not in raw.data
    assert raw.truncated
