"""Case check/12: the beacon works behind applications that send their own upstream requests.

One application forwards only the body; the other rebuilds each event from its text.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.live import check, hop_json
from support.lossy_relay import plain_events
from support.threaded_server import SSE, Server, head, serving

pytestmark = pytest.mark.slow

Rewrite = Callable[[bytes], bytes]


def _body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


def _stream(port: int, path: str, body: bytes) -> Iterator[bytes]:
    with socket.create_connection(("127.0.0.1", port), 20) as upstream:
        upstream.sendall(
            b"POST %b HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (path.encode(), len(body), body)
        )
        with upstream.makefile("rb") as reply:
            while reply.readline() != b"\r\n":
                pass
            while size := int(reply.readline() or b"0", 16):
                yield reply.read(size)
                reply.readline()


def _bytes_relay(port: int) -> Callable[[socket.socket, bytes], None]:
    """Forward the request body and the bytes of the answer, but no headers."""

    def serve(conn: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET"):
            conn.sendall(head("404 Not Found", chunked=False) + b"{}")
            return
        conn.sendall(head(headers=SSE, chunked=False))
        for data in _stream(port, "/v1/chat/completions", _body_of(request)):
            conn.sendall(data)

    return serve


def _own_form(port: int) -> Callable[[socket.socket, bytes], None]:
    """Accept ``{"message": …}``, query the model, and send the text in events of another format."""

    def serve(conn: socket.socket, request: bytes) -> None:
        message = json.loads(_body_of(request))["message"]
        asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": message}]}
        conn.sendall(head(headers=SSE, chunked=False))
        rest = b""
        for data in _stream(port, "/v1/chat/completions", json.dumps(asked).encode()):
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event.startswith(b"data: {"):
                    delta = json.loads(event[6:])["choices"][0]["delta"]
                    text = {"type": "token", "text": delta.get("content", "")}
                    conn.sendall(b"data: %b\n\n" % json.dumps(text).encode())

    return serve


def assert_exact(server: Server, **options: Any) -> dict[str, object]:
    report = asyncio.run(check(server.url(""), beacon=True, **options))
    hop = hop_json(report)
    assert hop["verdict"] == "streaming"
    assert hop["hold_is_exact"] is True
    assert hop["hold_ms"]["p50"] < 12
    assert hop["integrity"]["sent"] == hop["integrity"]["received"] == 40
    return hop


def test_a_relay_that_drops_the_header(model_port: int) -> None:
    with serving(_bytes_relay(model_port)) as application:
        assert_exact(application)


def test_an_application_with_a_form_of_its_own(model_port: int) -> None:
    with serving(_own_form(model_port)) as application:
        assert_exact(application, path="/api/chat", data=b'{"message": "Hi undam-beacon"}')


def test_an_application_that_holds_the_stream_is_found(model_port: int) -> None:
    def serve(conn: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET"):
            conn.sendall(head("404 Not Found", chunked=False) + b"{}")
            return
        body = b"".join(_stream(model_port, "/v1/chat/completions", _body_of(request)))
        conn.sendall(head(headers=SSE, chunked=False) + body)

    with serving(serve) as application:
        report = asyncio.run(check(application.url(""), beacon=True))
    hop = hop_json(report)
    assert hop["verdict"] == "held-to-end"
    assert hop["hold_ms"]["max"] > 100


def test_an_ordinary_model_is_still_not_a_beacon() -> None:
    def serve(conn: socket.socket, _: bytes) -> None:
        conn.sendall(head(chunked=False) + b"".join(plain_events(["Hello"])))

    with serving(serve) as model, pytest.raises(Exception, match="does not answer as a beacon"):
        asyncio.run(check(model.url(""), beacon=True))
