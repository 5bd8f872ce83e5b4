"""HTTP proxies: absolute form, tunnels, credentials, refusals."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import pytest

from undam.errors import NetworkError, UsageError
from undam.wire import Request

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def head_of(conn: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += conn.recv(1)
    return data


def tls_engine(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Proxies:
    """Starts proxies that log what they were asked."""

    def __init__(self, servers: Any) -> None:
        self._servers = servers
        self.asked: list[bytes] = []

    def tunnelling(self) -> str:
        def script(conn: socket.socket) -> None:
            head = head_of(conn)
            self.asked.append(head)
            host, _, port = head.split()[1].rpartition(b":")
            with socket.create_connection((host.decode(), int(port)), timeout=10) as far:
                conn.sendall(b"HTTP/1.1 200 Established\r\nVia: x\r\n\r\n")
                back = threading.Thread(target=tls_engine, args=(far, conn))
                back.start()
                tls_engine(conn, far)
                back.join()

        return f"http://127.0.0.1:{self._servers.start(script).port}"

    def answering(self, reply: bytes, *, userinfo: str = "") -> str:
        def script(conn: socket.socket) -> None:
            self.asked.append(head_of(conn))
            conn.sendall(reply)

        return f"http://{userinfo}127.0.0.1:{self._servers.start(script).port}"


@pytest.fixture
def proxies(servers: Any) -> Proxies:
    return Proxies(servers)


def test_https_goes_through_a_tunnel(
    servers: Any, client: Any, authority: Any, proxies: Proxies
) -> None:
    far = servers.answer(HELLO, authority.server)
    proxy = proxies.tunnelling()
    request = Request(url=far.url("/", "https"), headers=(("Authorization", "Bearer k"),))
    got = client.get(request, proxy=proxy, cacert=authority.cacert)
    assert (got.data, got.stream.proxy) == (b"hello", proxy)
    assert proxies.asked == [
        b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (far.port, far.port)
    ]
    stamps = got.stream.stamps
    assert stamps.connect_ns < stamps.proxy_ns < stamps.tls_ns < stamps.head_ns


def test_http_is_asked_in_absolute_form(client: Any, proxies: Proxies) -> None:
    proxy = proxies.answering(HELLO, userinfo="u:p@")
    got = client.get("http://a.undam.test:81/x?y", proxy=proxy)
    assert got.data == b"hello"
    assert got.stream.proxy == proxy.replace("u:p@", "")
    assert proxies.asked[0].startswith(b"GET http://a.undam.test:81/x?y HTTP/1.1\r\nHost: a.undam")
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in proxies.asked[0]
    assert got.stream.stamps.proxy_ns is None


def test_the_environment_s_proxy_is_used_and_named(client: Any, proxies: Proxies) -> None:
    proxy = proxies.answering(HELLO)
    got = client.get("http://a.undam.test/", environ={"http_proxy": proxy})
    assert got.stream.proxy == f"{proxy} (HTTP_PROXY)"


def test_the_environment_s_proxy_is_not_used_for_loopback(
    servers: Any, client: Any, proxies: Proxies
) -> None:
    far = servers.answer(HELLO)
    environ = {"http_proxy": proxies.answering(HELLO), "ALL_PROXY": "http://127.0.0.1:1"}
    got = client.get(far.url(), environ=environ)
    assert (got.stream.proxy, proxies.asked) == (None, [])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("userinfo", "why"), [("", "asks for a user"), ("u:s3cret@", "refused the")]
)
def test_a_proxy_that_wants_credentials_is_named(
    client: Any, proxies: Proxies, scheme: str, userinfo: str, why: str
) -> None:
    reply = b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    proxy = proxies.answering(reply, userinfo=userinfo)
    with pytest.raises(NetworkError, match=rf"proxy http://127\S+ {why}.*\(407\)") as caught:
        client.get(f"{scheme}://a.undam.test/", proxy=proxy)
    assert caught.value.phase == "proxy"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "refused a tunnel to a.undam.test: it answered 403"),
        (b"", "closed the connection when asked for a tunnel to a.undam.test"),
        (b"SSH-2.0-x\r\n", "does not use HTTP; it sent 'SSH-2.0-x"),
    ],
)
def test_a_tunnel_refused(client: Any, proxies: Proxies, reply: bytes, why: str) -> None:
    with pytest.raises(NetworkError, match=why) as caught:
        client.get("https://a.undam.test/", proxy=proxies.answering(reply))
    assert caught.value.phase == "proxy"


def test_a_tunnel_that_never_opens(servers: Any, client: Any) -> None:
    done = threading.Event()
    far = servers.start(lambda conn: done.wait(10) and None)
    with pytest.raises(NetworkError, match=r"no tunnel through proxy .* within 0\.3 s") as caught:
        client.get("https://a.undam.test/", proxy=far.url(), connect_timeout_s=0.3)
    done.set()
    assert caught.value.phase == "proxy"


def test_a_proxy_that_is_not_there(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkError, match=rf"proxy http://127.0.0.1:{port}: connection refused"):
        client.get("http://a.undam.test/", proxy=f"http://127.0.0.1:{port}")
    with pytest.raises(UsageError, match="only http:// proxies"):
        client.get("http://a.undam.test/", proxy="socks5://127.0.0.1:1")
