"""Every failure has a one-line error message without secrets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from undam.errors import LocalProtocolError, NetworkError, RemoteProtocolError, UsageError
from undam.record import Ending
from undam.wire import ClientConfig, Request, open_stream

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SECRET = "s3cret"
TIMEOUT_S = 10


def reset(conn: socket.socket) -> None:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_an_unknown_host_is_reported(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = "cannot find host 'no-such-host.test': Name or service not known"
    with pytest.raises(NetworkError, match=message) as caught:
        client.get("http://no-such-host.test/")
    assert caught.value.phase == "dns"


def test_a_silent_name_server_does_not_block_the_program(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, finished = threading.Event(), threading.Event()

    def silent(*_: Any, **__: Any) -> list[Any]:
        released.wait(TIMEOUT_S)
        finished.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    with pytest.raises(
        NetworkError, match=r"the DNS lookup of a\.test did not finish within 0\.3 s"
    ):
        client.get("http://a.test/", connect_timeout_s=0.3)
    assert not finished.is_set()  # TIMEOUT_S is much longer than the 0.3 s limit.
    released.set()
    assert finished.wait(TIMEOUT_S)


def test_a_refused_connection_is_reported_with_the_address(client: Any) -> None:
    port = closed_port()
    message = rf"connection refused by 127\.0\.0\.1:{port} \(is the server running\?\)"
    with pytest.raises(NetworkError, match=message) as caught:
        client.get(f"http://127.0.0.1:{port}/")
    assert caught.value.phase == "connect"


def test_all_addresses_are_tried_and_reported(servers: Any, client: Any) -> None:
    port = closed_port()
    resolve = (("a.test", port, "127.0.0.1"), ("a.test", port, "127.0.0.2"))
    with pytest.raises(NetworkError, match=r"any address: 127\.0\.0\.\d:.*; 127\.0\.0\.\d:"):
        client.get(f"http://a.test:{port}/", resolve=resolve)
    server = servers.answer(b"HTTP/1.1 204 No\r\n\r\n")
    resolve = (("a.test", server.port, "127.0.0.2"), ("a.test", server.port, "127.0.0.1"))
    assert client.get(server.url(host="a.test"), resolve=resolve).stream.head.status == 204
    assert server.heads[0].startswith(b"GET / HTTP/1.1\r\nHost: a.test:%d\r\n" % server.port)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "does not use HTTP; it sent 'SSH-2.0-OpenSSH"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "try https://"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "head is larger than 65536 bytes"),
    ],
)
def test_a_response_that_is_not_http_is_reported(
    servers: Any, client: Any, reply: bytes, message: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        client.get(servers.answer(reply).url())


def test_a_close_before_or_within_the_head_is_reported(servers: Any, client: Any) -> None:
    with pytest.raises(
        NetworkError, match=r"without sending a byte.*try https|use https"
    ) as caught:
        client.get(servers.answer(b"").url())
    assert caught.value.phase == "headers"
    with pytest.raises(NetworkError, match="within the response head, after 10 bytes"):
        client.get(servers.answer(b"HTTP/1.1 2").url())


def test_a_reset_before_the_head_is_reported(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(1)
        reset(conn)

    with pytest.raises(NetworkError, match="without sending a byte: connection reset"):
        client.get(servers.start(script).url())


@pytest.mark.parametrize(
    ("body", "ending", "data", "why"),
    [
        (b"2\r\nab\r\n", Ending.TRUNCATED, b"ab", "closed before the end"),
        (b"2\r\nab\r\nxyz\r\n", Ending.BROKEN, b"ab", "chunk size"),
        (b"2\r\nab\r\n0\r\n\r\n", Ending.COMPLETE, b"ab", None),
    ],
)
def test_the_ending_of_a_body_is_recorded(
    servers: Any, client: Any, body: bytes, ending: Ending, data: bytes, why: str | None
) -> None:
    received = client.get(servers.answer(CHUNKED + body).url())
    assert (received.ending, received.data) == (ending, data)
    assert (why or "") in (received.stream.error or "")
    assert received.stream.ended_ns >= received.stream.stamps.head_ns


def test_a_reset_within_the_body_is_an_ending(servers: Any, client: Any) -> None:
    first_received = threading.Event()

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED + b"2\r\nab\r\n")
        assert first_received.wait(10)
        reset(conn)

    async def run() -> Any:
        async with await open_stream(Request(url=servers.start(script).url()), ClientConfig()) as s:
            data = [a.data async for a in noted(s)]
        return s, data

    async def noted(stream: Any) -> Any:
        async for arrival in stream:
            first_received.set()
            yield arrival

    stream, data = client.run(run())
    assert (stream.ending, data, stream.error) == (Ending.RESET, [b"ab"], "connection reset")


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (Request(url="nonsense"), UsageError),
        (Request(url="http://127.0.0.1/", headers=(("X", "a\nb"),)), LocalProtocolError),
    ],
)
def test_an_invalid_request_is_rejected_before_the_connection(
    client: Any, request_: Request, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        client.get(request_)


def test_no_error_contains_a_secret(servers: Any, client: Any) -> None:
    def close_early(conn: socket.socket) -> None:
        conn.recv(65536)

    headers = (("Authorization", f"Bearer {SECRET}"), ("Cookie", SECRET))
    closed = f"127.0.0.1:{closed_port()}"
    redirect = servers.answer(
        b"HTTP/1.1 302 F\r\nLocation: ftp://u:%b@x/\r\n\r\n" % SECRET.encode()
    )
    urls = [
        f"http://u:{SECRET}@{closed}/",
        f"http://u:{SECRET}@127.0.0.1:{servers.start(close_early).port}/",
        f"http://u:{SECRET}@127.0.0.1:{servers.answer(b'junk junk').port}/",
        f"http://u:{SECRET}@127.0.0.1:{redirect.port}/",
        f"https://u:{SECRET}@127.0.0.1:{servers.start(close_early).port}/",
    ]
    messages = []
    for url in urls:
        for proxy in (None, f"http://u:{SECRET}@{closed}"):
            try:
                client.get(Request(url=url, headers=headers), proxy=proxy)
            except (NetworkError, RemoteProtocolError) as error:
                messages.append(f"{error!r} {error}")
    assert len(messages) == 2 * len(urls)
    assert not [text for text in messages if SECRET in text or "\n" in text]


@pytest.mark.parametrize(
    ("script", "phase", "why"),
    [
        (b"", "headers", r"sent no response head within 0\.8 s \(--timeout\)"),
        (b"HTTP/1.1 ", "headers", r"within 0\.8 s \(--timeout\) \(9 bytes of it arrived\)"),
    ],
)
def test_a_missing_head_times_out(
    servers: Any, client: Any, script: bytes, phase: str, why: str
) -> None:
    done = threading.Event()

    def stall(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(script)
        done.wait(10)

    with pytest.raises(NetworkError, match=why) as caught:
        client.get(servers.start(stall).url(), timeout_s=0.8)
    done.set()
    assert caught.value.phase == phase


def test_a_request_that_the_server_does_not_read_times_out(servers: Any, client: Any) -> None:
    done = threading.Event()
    server = servers.start(lambda conn: done.wait(10) and None)
    request = Request(url=server.url(), method="POST", body=b"x" * 50_000_000)
    with pytest.raises(NetworkError, match="did not accept the whole request within") as caught:
        client.get(request, timeout_s=0.5)
    done.set()
    assert caught.value.phase == "send"


def test_a_connection_closed_while_sending_is_reported(servers: Any, client: Any) -> None:
    server = servers.start(lambda conn: conn.recv(1000) and None)
    request = Request(url=server.url(), method="POST", body=b"x" * 50_000_000)
    with pytest.raises(
        NetworkError, match="closed the connection while the request was being sent"
    ):
        client.get(request)


@contextlib.contextmanager
def unresponsive_server(host: str, port: int = 0) -> Iterator[int]:
    """Yield a port where connection attempts get no response, because its backlog is full."""
    with contextlib.ExitStack() as undo:
        listener = undo.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = undo.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_an_unresponsive_address_does_not_delay_the_next(servers: Any, client: Any) -> None:
    server = servers.answer(b"HTTP/1.1 204 No\r\n\r\n")
    with unresponsive_server("127.0.0.2", server.port):
        resolve = (("a.test", server.port, "127.0.0.2"), ("a.test", server.port, "127.0.0.1"))
        received = client.get(server.url(host="a.test"), resolve=resolve, connect_timeout_s=8)
    assert received.stream.head.status == 204


def test_a_failed_connection_is_reported_with_its_reason(client: Any) -> None:
    # The local kernel rejects TCP connections to broadcast addresses.
    with pytest.raises(NetworkError, match=r"cannot connect to 255\.255\.255\.255:80: \w+"):
        client.get("http://255.255.255.255/", timeout_s=5)


def test_a_connection_that_is_not_accepted_times_out(client: Any) -> None:
    with unresponsive_server("127.0.0.1") as port:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(NetworkError, match=r"no connection to 127.* within 0\.3 s") as caught:
            client.get(url, connect_timeout_s=0.3)
    assert caught.value.phase == "connect"
