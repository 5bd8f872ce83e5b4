"""HTTP redirects: methods, credentials and loops."""

from __future__ import annotations

import time
from typing import Any

import pytest

from undam.errors import RedirectError, RemoteProtocolError
from undam.wire import Request, exchange_opener
from undam.wire.url import is_public

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

HERE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"
SECRETS = (
    "authorization", "cookie", "proxy-authorization", "x-api-key", "api-key", "apikey",
    "ocp-apim-subscription-key", "x-amz-security-token", "x-auth-token", "undam-token",
    "x-my-password", "cf-access-client-secret", "private-token", "x-sessiontoken", "dd-api-key",
    "x-vendor-secret", "x-unknown-key", "authentication", "x-auth", "x-jwt",
)  # fmt: skip


def to(location: str, status: int = 302) -> bytes:
    return b"HTTP/1.1 %d Go\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (
        status,
        location.encode(),
    )


def names(head: bytes) -> set[str]:
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {line.partition(b":")[0].decode().lower() for line in lines}


@pytest.fixture
def site(servers: Any) -> Any:
    """Server with one reply per path, which tests set in ``site.pages``."""
    pages: dict[str, bytes] = {"/here": HERE}

    def script(conn: Any) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        server.heads.append(data)
        conn.sendall(pages[data.split()[1].decode()])

    server = servers.start(script)
    server.pages = pages
    return server


@pytest.mark.parametrize(
    ("status", "method", "next_method"),
    [
        (301, "GET", "GET"),
        (302, "POST", "GET"),
        (301, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ],
)
def test_the_method_changes_as_the_standard_defines(
    site: Any, client: Any, status: int, method: str, next_method: str
) -> None:
    site.pages["/"] = to("/here", status)
    body = b"" if method in {"GET", "HEAD"} else b"{}"
    headers = (("Content-Type", "application/json"),)
    received = client.get(Request(url=site.url(), method=method, headers=headers, body=body))
    assert received.stream.url == site.url("/here")
    assert received.stream.redirects == (site.url("/"),)
    assert site.heads[1].startswith(next_method.encode() + b" /here ")
    kept = next_method == method
    assert ("content-type" in names(site.heads[1])) == kept
    assert site.heads[1].endswith(b"\r\n\r\n" + (body if kept else b""))


def test_credentials_stay_with_their_origin(site: Any, servers: Any, client: Any) -> None:
    other = servers.answer(HERE)
    site.pages |= {"/": to("/next"), "/next": to(other.url("/"), 307)}
    headers = (*((name, "k") for name in SECRETS), ("X-Mine", "1"), ("Host", "a.test"))
    request = Request(url=site.url("/", host="u:p@127.0.0.1"), headers=headers, body=b"x")
    received = client.get(request, follow_origins=True)
    assert received.data == b"here"
    assert "p@" not in f"{received.stream.url} {received.stream.redirects}"
    for head in site.heads:
        assert set(SECRETS) < names(head)
    assert not names(other.heads[0]) & set(SECRETS)
    assert "x-mine" in names(other.heads[0])
    assert b"Host: 127.0.0.1:%d\r\n" % other.port in other.heads[0]


def test_basic_credentials_of_the_url_stay_with_their_origin(
    site: Any, servers: Any, client: Any
) -> None:
    other = servers.answer(HERE)
    site.pages |= {"/": to("/next"), "/next": to(other.url("/"))}
    client.get(site.url("/", host="u:p@127.0.0.1"), follow_origins=True)
    assert all(b"Authorization: Basic dTpw" in head for head in site.heads)
    assert b"Authorization" not in other.heads[0]


def test_a_redirect_from_http_to_https_is_followed(
    site: Any, servers: Any, client: Any, authority: Any
) -> None:
    secure = servers.answer(HERE, authority.server)
    site.pages["/"] = to(secure.url("/", "https"))
    received = client.get(site.url(), cacert=authority.cacert, follow_origins=True)
    assert (received.data, received.stream.url) == (b"here", secure.url("/", "https"))


def test_the_start_time_is_that_of_the_final_exchange(site: Any, servers: Any, client: Any) -> None:
    replied_ns: list[int] = []

    def script(conn: Any) -> None:
        conn.recv(65536)
        replied_ns.append(time.time_ns())
        conn.sendall(to(site.url("/here")))

    received = client.get(servers.start(script).url(), follow_origins=True)
    assert received.stream.stamps.start_ns > replied_ns[0]


def test_a_redirect_loop_is_reported(site: Any, client: Any) -> None:
    site.pages |= {"/": to("/b"), "/b": to("/")}
    with pytest.raises(RemoteProtocolError, match=r"redirect loop: \S+/ -> \S+/b -> \S+/$"):
        client.get(site.url())


def test_a_post_redirected_to_itself_as_get_is_not_yet_a_loop(site: Any, client: Any) -> None:
    site.pages["/"] = to("/", 303)
    with pytest.raises(RemoteProtocolError, match="redirect loop"):
        client.get(Request(url=site.url(), method="POST"))
    assert [head.split()[0] for head in site.heads] == [b"POST", b"GET"]


def test_redirects_are_bounded(site: Any, client: Any) -> None:
    site.pages |= {f"/{i}": to(f"/{i + 1}") for i in range(9)}
    with pytest.raises(RemoteProtocolError, match=r"more than 3 redirects: \S+/0 -> .*/4$"):
        client.get(site.url("/0"), max_redirects=3)
    site.pages["/3"] = HERE
    assert len(client.get(site.url("/0"), max_redirects=3).stream.redirects) == 3


def test_with_max_redirects_0_the_redirect_is_returned(site: Any, client: Any) -> None:
    site.pages["/"] = to("/here")
    received = client.get(site.url(), max_redirects=0)
    assert (received.stream.head.status, received.stream.redirects) == (302, ())


def test_a_redirect_without_location_is_a_response(servers: Any, client: Any) -> None:
    server = servers.answer(b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno")
    assert client.get(server.url()).data == b"no"


def test_a_redirect_to_another_scheme_is_reported(site: Any, client: Any) -> None:
    site.pages["/"] = to("ftp://u:s3cret@a.test/")
    with pytest.raises(RemoteProtocolError, match=r"redirects to 'ftp://.*a\.test/'") as caught:
        client.get(site.url())
    assert "s3cret" not in str(caught.value)


def test_another_origin_is_reported_and_not_contacted(site: Any, servers: Any, client: Any) -> None:
    other = servers.answer(HERE)
    for location in (other.url("/x?token=hunter22"), f"//localhost:{other.port}/", other.url("/")):
        site.pages["/"] = to(location, 307)
        with pytest.raises(RedirectError, match="redirects to another origin: http://") as caught:
            client.get(site.url())
        assert "--location" in str(caught.value)
        assert "hunter22" not in str(caught.value)
        assert str(other.port) in caught.value.location
    assert other.heads == []


@pytest.mark.parametrize("status", [307, 308])
def test_the_body_stays_with_its_origin(site: Any, servers: Any, client: Any, status: int) -> None:
    other = servers.answer(HERE)
    site.pages["/"] = to(other.url("/"), status)
    headers = (("Content-Type", "application/json"), ("X-Note", "key sk-abcdefgh1234"))
    request = Request(url=site.url(), method="POST", headers=headers, body=b'{"prompt": "p"}')
    client.get(request, follow_origins=True)
    (head,) = other.heads
    assert head.startswith(b"POST / ")
    assert b"prompt" not in head
    assert not names(head) & {"content-type", "x-note"}
    assert b"Content-Length: 0\r\n" in head


def test_a_link_local_address_is_followed_only_on_request(site: Any, client: Any) -> None:
    for location in ("http://169.254.169.254/latest/", "http://[fe80::1]/", "http://2852039166/"):
        site.pages["/"] = to(location)
        with pytest.raises(RedirectError, match="internal address"):
            client.get(site.url(), follow_origins=True)


def test_a_public_host_cannot_redirect_to_internal_addresses(
    site: Any, servers: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = servers.answer(HERE)
    site.pages["/"] = to(f"http://localhost:{other.port}/")
    # For this test, 127.0.0.1 is treated as a public address.
    monkeypatch.setattr(exchange_opener, "is_public", lambda host: host == "127.0.0.1")
    with pytest.raises(RedirectError, match="has the internal address ::1"):
        client.get(site.url(), follow_origins=True, resolve=(("localhost", other.port, "::1"),))
    assert client.get(site.url(), follow_origins=True, follow_internal=True).data == b"here"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("127.0.0.1", False), ("::1", False),
        ("10.1.2.3", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("fe80::1%eth0", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False), ("fd00::1", False), ("0.0.0.0", False), ("100.64.0.1", False),
    ],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public
