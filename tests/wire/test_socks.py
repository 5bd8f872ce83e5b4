"""SOCKS5 proxies: tunnels for http and https, host names, credentials and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from support.socks_server import SocksBehaviour, socks_server
from undam.errors import NetworkError, UsageError
from undam.wire import ClientConfig
from undam.wire.proxy import choose_proxy
from undam.wire.url import parse_url

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("piecemeal", [False, True])
@pytest.mark.parametrize("bound", [b"\x01\x7f\x00\x00\x01", b"\x04" + bytes(16), b"\x03\x02hi"])
def test_a_request_through_a_socks_proxy(
    servers: Any, client: Any, piecemeal: bool, bound: bytes
) -> None:
    server = servers.answer(HELLO)
    with socks_server(SocksBehaviour(bound=bound, piecemeal=piecemeal)) as proxy:
        received = client.get(server.url(), proxy=f"socks5://127.0.0.1:{proxy.port}")
    assert received.stream.head.status == 200
    assert received.stream.proxy == f"socks5://127.0.0.1:{proxy.port}"
    assert proxy.targets == [("127.0.0.1", server.port)]


def test_the_proxy_looks_up_the_name_with_socks5h_and_the_client_with_socks5(
    servers: Any, client: Any
) -> None:
    server = servers.answer(HELLO)
    url = f"http://name.undam.test:{server.port}/"
    resolve = (("name.undam.test", server.port, "127.0.0.1"),)
    with socks_server() as proxy:
        client.get(url, proxy=f"socks5h://127.0.0.1:{proxy.port}")
        client.get(url, proxy=f"socks5://127.0.0.1:{proxy.port}", resolve=resolve)
    assert proxy.targets == [("name.undam.test", server.port), ("127.0.0.1", server.port)]


def test_the_proxy_gets_the_credentials_and_no_message_does(servers: Any, client: Any) -> None:
    server = servers.answer(HELLO)
    with socks_server(SocksBehaviour(method=2)) as proxy:
        client.get(server.url(), proxy=f"socks5://u:p%3as@127.0.0.1:{proxy.port}")
    assert proxy.credentials == [b"u:p:s"]
    with (
        socks_server(SocksBehaviour(method=2, auth_status=1)) as proxy,
        pytest.raises(NetworkError, match="rejected the user name and password") as caught,
    ):
        client.get(server.url(), proxy=f"socks5://u:s3cret@127.0.0.1:{proxy.port}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (SocksBehaviour(reply=5), "cannot connect to 127.0.0.1:80: connection refused"),
        (SocksBehaviour(reply=99), "cannot connect to 127.0.0.1:80: reply 99"),
        (SocksBehaviour(method=255), "requires a user name; use socks5://USER:PASSWORD@"),
        (SocksBehaviour(method=7), "requires an unsupported way to authenticate"),
        (SocksBehaviour(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak SOCKS5"),
        (SocksBehaviour(greeting=b"\x05"), "closed the connection instead of opening a tunnel"),
        (SocksBehaviour(greeting=b""), "closed the connection instead of opening a tunnel"),
    ],
)
def test_a_refusal_is_reported(client: Any, behaviour: SocksBehaviour, why: str) -> None:
    with socks_server(behaviour) as proxy, pytest.raises(NetworkError, match=why) as caught:
        client.get("http://127.0.0.1/", proxy=f"socks5://127.0.0.1:{proxy.port}")
    assert caught.value.phase == "proxy"


@pytest.mark.parametrize(
    ("text", "name", "scheme"),
    [
        ("socks5://p", "socks5://p:1080", "socks5"),
        ("SOCKS5H://p:80", "socks5h://p:80", "socks5h"),
        ("socks5://u:secret@[::1]:9", "socks5://[::1]:9", "socks5"),
        ("http://p:3128", "http://p:3128", "http"),
        ("p", "http://p", "http"),
    ],
)
def test_the_scheme_and_port_of_a_proxy(text: str, name: str, scheme: str) -> None:
    proxy = choose_proxy(parse_url("https://a.test/"), ClientConfig(proxy=text))
    assert proxy is not None
    assert (proxy.name, proxy.scheme) == (name, scheme)
    assert "secret" not in repr(proxy)


@pytest.mark.parametrize("scheme", ["socks4", "https", "ftp"])
def test_other_kinds_of_proxies_are_rejected(scheme: str) -> None:
    config = ClientConfig(environ={"ALL_PROXY": f"{scheme}://u:secret@p:1"})
    with pytest.raises(UsageError, match="only http://, socks5://") as caught:
        choose_proxy(parse_url("http://a.test/"), config)
    assert "secret" not in str(caught.value)
