"""Redirects: methods, credentials, loops."""

from __future__ import annotations

import time
from typing import Any

import pytest

from undam.errors import RemoteProtocolError
from undam.wire import Request

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

HERE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"
SECRETS = ("authorization", "cookie", "proxy-authorization", "x-api-key", "api-key")


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
    """A server whose answers go by path; set ``site.pages``."""
    pages: dict[str, bytes] = {"/here": HERE}

    def script(conn: Any) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        far.heads.append(data)
        conn.sendall(pages[data.split()[1].decode()])

    far = servers.start(script)
    far.pages = pages
    return far


@pytest.mark.parametrize(
    ("status", "method", "then"),
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
def test_the_method_follows_the_standard(
    site: Any, client: Any, status: int, method: str, then: str
) -> None:
    site.pages["/"] = to("/here", status)
    body = b"" if method in {"GET", "HEAD"} else b"{}"
    headers = (("Content-Type", "application/json"),)
    got = client.get(Request(url=site.url(), method=method, headers=headers, body=body))
    assert got.stream.url == site.url("/here")
    assert got.stream.redirects == (site.url("/"),)
    assert site.heads[1].startswith(then.encode() + b" /here ")
    kept = then == method
    assert ("content-type" in names(site.heads[1])) == kept
    assert site.heads[1].endswith(b"\r\n\r\n" + (body if kept else b""))


def test_credentials_stay_with_their_origin(site: Any, servers: Any, client: Any) -> None:
    other = servers.answer(HERE)
    site.pages |= {"/": to("/next"), "/next": to(other.url("/"), 307)}
    headers = (*((name, "k") for name in SECRETS), ("X-Mine", "1"), ("Host", "a.test"))
    request = Request(url=site.url("/", host="u:p@127.0.0.1"), headers=headers, body=b"x")
    got = client.get(request)
    assert got.data == b"here"
    assert "p@" not in f"{got.stream.url} {got.stream.redirects}"
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
    client.get(site.url("/", host="u:p@127.0.0.1"))
    assert all(b"Authorization: Basic dTpw" in head for head in site.heads)
    assert b"Authorization" not in other.heads[0]


def test_from_http_to_https(site: Any, servers: Any, client: Any, authority: Any) -> None:
    secure = servers.answer(HERE, authority.server)
    site.pages["/"] = to(secure.url("/", "https"))
    got = client.get(site.url(), cacert=authority.cacert)
    assert (got.data, got.stream.url) == (b"here", secure.url("/", "https"))


def test_the_start_is_that_of_the_final_exchange(site: Any, servers: Any, client: Any) -> None:
    answered: list[int] = []

    def script(conn: Any) -> None:
        conn.recv(65536)
        answered.append(time.time_ns())
        conn.sendall(to(site.url("/here")))

    got = client.get(servers.start(script).url())
    assert got.stream.stamps.start_ns > answered[0]


def test_a_loop_is_named(site: Any, client: Any) -> None:
    site.pages |= {"/": to("/b"), "/b": to("/")}
    with pytest.raises(RemoteProtocolError, match=r"redirect loop: \S+/ -> \S+/b -> \S+/$"):
        client.get(site.url())


def test_a_post_may_come_back_as_a_get(site: Any, client: Any) -> None:
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


def test_no_redirects_wanted_hands_up_the_redirect(site: Any, client: Any) -> None:
    site.pages["/"] = to("/here")
    got = client.get(site.url(), max_redirects=0)
    assert (got.stream.head.status, got.stream.redirects) == (302, ())


def test_a_redirect_to_nowhere_is_a_response(servers: Any, client: Any) -> None:
    far = servers.answer(b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno")
    assert client.get(far.url()).data == b"no"


def test_a_redirect_that_cannot_be_followed_is_named(site: Any, client: Any) -> None:
    site.pages["/"] = to("ftp://u:s3cret@a.test/")
    with pytest.raises(RemoteProtocolError, match=r"redirects to 'ftp://.*a\.test/'") as caught:
        client.get(site.url())
    assert "s3cret" not in str(caught.value)
