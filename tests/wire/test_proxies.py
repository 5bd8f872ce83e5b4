"""HTTP proxies: absolute-form requests, tunnels, credentials and rejected requests."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import pytest

from undam.errors import NetworkError, UsageError
from undam.wire import Request

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def head_of(conn: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += conn.recv(1)
    return data


def copy_data(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Proxies:
    """Factory for proxies that record the requests they receive."""

    def __init__(self, servers: Any) -> None:
        self._servers = servers
        self.requests: list[bytes] = []

    def tunnelling(self) -> str:
        def script(conn: socket.socket) -> None:
            head = head_of(conn)
            self.requests.append(head)
            host, _, port = head.split()[1].rpartition(b":")
            with socket.create_connection((host.decode(), int(port)), timeout=10) as server:
                conn.sendall(b"HTTP/1.1 200 Established\r\nVia: x\r\n\r\n")
                back = threading.Thread(target=copy_data, args=(server, conn))
                back.start()
                copy_data(conn, server)
                back.join()

        return f"http://127.0.0.1:{self._servers.start(script).port}"

    def answering(self, reply: bytes, *, userinfo: str = "") -> str:
        def script(conn: socket.socket) -> None:
            self.requests.append(head_of(conn))
            conn.sendall(reply)

        return f"http://{userinfo}127.0.0.1:{self._servers.start(script).port}"


@pytest.fixture
def proxies(servers: Any) -> Proxies:
    return Proxies(servers)


def test_https_uses_a_tunnel(servers: Any, client: Any, authority: Any, proxies: Proxies) -> None:
    server = servers.answer(HELLO, authority.server)
    proxy = proxies.tunnelling()
    request = Request(url=server.url("/", "https"), headers=(("Authorization", "Bearer k"),))
    received = client.get(request, proxy=proxy, cacert=authority.cacert)
    assert (received.data, received.stream.proxy) == (b"hello", proxy)
    assert proxies.requests == [
        b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (server.port, server.port)
    ]
    stamps = received.stream.stamps
    assert stamps.connect_ns < stamps.proxy_ns < stamps.tls_ns < stamps.head_ns


def test_http_uses_the_absolute_form(client: Any, proxies: Proxies) -> None:
    proxy = proxies.answering(HELLO, userinfo="u:p@")
    received = client.get("http://a.undam.test:81/x?y", proxy=proxy)
    assert received.data == b"hello"
    assert received.stream.proxy == proxy.replace("u:p@", "")
    assert proxies.requests[0].startswith(
        b"GET http://a.undam.test:81/x?y HTTP/1.1\r\nHost: a.undam"
    )
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in proxies.requests[0]
    assert received.stream.stamps.proxy_ns is None


def test_a_proxy_of_the_environment_is_used_and_named(client: Any, proxies: Proxies) -> None:
    proxy = proxies.answering(HELLO)
    received = client.get("http://a.undam.test/", environ={"http_proxy": proxy})
    assert received.stream.proxy == f"{proxy} (HTTP_PROXY)"


def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    servers: Any, client: Any, proxies: Proxies
) -> None:
    server = servers.answer(HELLO)
    environ = {"http_proxy": proxies.answering(HELLO), "ALL_PROXY": "http://127.0.0.1:1"}
    received = client.get(server.url(), environ=environ)
    assert (received.stream.proxy, proxies.requests) == (None, [])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("userinfo", "why"), [("", "requires a user"), ("u:s3cret@", "rejected the")]
)
def test_a_proxy_that_requires_credentials_is_reported(
    client: Any, proxies: Proxies, scheme: str, userinfo: str, why: str
) -> None:
    reply = b"HTTP/1.1 407 Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    proxy = proxies.answering(reply, userinfo=userinfo)
    with pytest.raises(NetworkError, match=rf"proxy http://127\S+ {why}.*\(407\)") as caught:
        client.get(f"{scheme}://a.undam.test/", proxy=proxy)
    assert caught.value.phase == "proxy"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "refused a tunnel to a.undam.test: it returned 403"),
        (b"", "closed the connection instead of opening a tunnel to a.undam.test"),
        (b"SSH-2.0-x\r\n", "does not use HTTP; it sent 'SSH-2.0-x"),
    ],
)
def test_a_refused_tunnel_is_reported(
    client: Any, proxies: Proxies, reply: bytes, why: str
) -> None:
    with pytest.raises(NetworkError, match=why) as caught:
        client.get("https://a.undam.test/", proxy=proxies.answering(reply))
    assert caught.value.phase == "proxy"


def test_a_tunnel_that_does_not_open_times_out(servers: Any, client: Any) -> None:
    done = threading.Event()
    server = servers.start(lambda conn: done.wait(10) and None)
    with pytest.raises(NetworkError, match=r"no tunnel through proxy .* within 0\.3 s") as caught:
        client.get("https://a.undam.test/", proxy=server.url(), connect_timeout_s=0.3)
    done.set()
    assert caught.value.phase == "proxy"


def test_an_unreachable_proxy_is_reported(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkError, match=rf"proxy http://127.0.0.1:{port}: connection refused"):
        client.get("http://a.undam.test/", proxy=f"http://127.0.0.1:{port}")
    with pytest.raises(UsageError, match="only http://, socks5"):
        client.get("http://a.undam.test/", proxy="socks4://127.0.0.1:1")
