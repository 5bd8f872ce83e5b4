"""HTTP server of the monitor: methods, invalid requests and slow clients."""

from __future__ import annotations

import asyncio

import pytest

from undam.monitor import web
from undam.monitor.web import Asked, WebAnswer, WebServer


async def handler(asked: Asked) -> WebAnswer:
    return WebAnswer(f"{asked.path} {asked.query} {asked.accept}".encode())


def exchange(*requests: bytes, wait_s: float = 5.0) -> list[bytes]:
    """Send each request on a separate connection, and return the responses."""

    async def main() -> list[bytes]:
        server = WebServer(handler)
        host, port = await server.start("127.0.0.1", 0)
        answers = []
        for request in requests:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            answers.append(await asyncio.wait_for(reader.read(), wait_s))
            writer.close()
            await writer.wait_closed()
        await server.close()
        return answers

    return asyncio.run(main())


def test_get_has_a_body_and_head_has_none() -> None:
    get, head = exchange(
        b"GET /a?target=x&target=y HTTP/1.1\r\nHost: h\r\nAccept: text/plain\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    )
    assert get.startswith(b"HTTP/1.1 200 OK\r\n")
    assert get.endswith(b"\r\n\r\n/a {'target': 'x'} text/plain")
    assert b"default-src 'none'" in get
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: h\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"4"),
    ],
)
def test_other_requests_are_refused(request_: bytes, status: bytes) -> None:
    (answer,) = exchange(request_)
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_a_silent_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_IDLE_S", 0.05)
    assert exchange(b"GET / HT") == [b""]
