"""Serializing requests: no request smuggling, and no secrets in errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import LocalProtocolError, UsageError
from undam.wire import ClientConfig, Request, parse_resolve
from undam.wire.request import encode_connect, encode_request
from undam.wire.url import parse_url

TARGET = parse_url("http://a.test:8000/v1?x=1")


def lines(request: Request, url: str = TARGET.text) -> list[str]:
    data = encode_request(request, parse_url(url))
    return data.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def test_a_request_has_the_default_headers() -> None:
    assert lines(Request(url=TARGET.text)) == [
        "GET /v1?x=1 HTTP/1.1",
        "Host: a.test:8000",
        "User-Agent: undam",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate, br, zstd",
    ]


def test_a_body_is_sent_with_content_length() -> None:
    data = encode_request(Request(url="", method="POST", body=b"{}"), TARGET)
    assert b"\r\nContent-Length: 2\r\n" in data
    assert data.endswith(b"\r\n\r\n{}")
    assert "Content-Length: 0" in lines(Request(url="", method="POST"))


def test_given_headers_replace_defaults_and_host_stays_first() -> None:
    headers = (("accept-encoding", "identity"), ("HOST", "b.test"), ("X", "1"), ("X", "2"))
    assert lines(Request(url="", headers=headers)) == [
        "GET /v1?x=1 HTTP/1.1",
        "HOST: b.test",
        "User-Agent: undam",
        "Accept: */*",
        "accept-encoding: identity",
        "X: 1",
        "X: 2",
    ]


def test_user_and_password_of_the_url_become_basic_credentials() -> None:
    url = "http://Aladdin:open%20sesame@a.test/"
    assert "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" in lines(Request(url=url), url)
    assert "Authorization: Basic dTo=" in lines(Request(url=url), "http://u@a.test/")
    own = Request(url=url, headers=(("authorization", "Bearer k"),))
    assert [line for line in lines(own, url) if line.lower().startswith("auth")] == [
        "authorization: Bearer k"
    ]


def test_a_request_to_a_proxy_has_the_absolute_form_and_proxy_credentials() -> None:
    data = encode_request(Request(url=""), TARGET, absolute=True, proxy_userinfo=b"u:p")
    assert data.startswith(b"GET http://a.test:8000/v1?x=1 HTTP/1.1\r\nHost: a.test:8000\r\n")
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in data
    assert b"Proxy-Auth" not in encode_request(Request(url=""), TARGET, proxy_userinfo=b"u:p")


def test_a_connect_request_names_host_and_port() -> None:
    assert encode_connect(parse_url("https://[::1]/"), b"u:p") == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    )


@pytest.mark.parametrize(
    "headers",
    [
        (("X", "s3cret\r\nY: z"),),
        (("X", "s3cret\n"),),
        (("X", "s3cret\0"),),
        (("X\r\nY", "s3cret"),),
        (("X Y", "s3cret"),),
        (("", "s3cret"),),
        (("X:", "s3cret"),),
        (("Transfer-Encoding", "chunked"),),
        (("Content-Length", "7"),),
        (("Host", "a"), ("host", "b")),
        (("X", "\ud800s3cret"),),
    ],
)
def test_invalid_headers_are_rejected(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode_request(Request(url="", headers=headers), TARGET)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("method", ["", "G T", "GET\r\n", "GËT"])
def test_a_method_that_is_not_a_token_is_rejected(method: str) -> None:
    with pytest.raises(LocalProtocolError):
        encode_request(Request(url="", method=method), TARGET)


@given(st.text(), st.text())
def test_no_header_injects_a_line(name: str, value: str) -> None:
    try:
        data = encode_request(Request(url="", headers=((name, value),)), TARGET)
    except LocalProtocolError:
        return
    extra = {"host", "user-agent", "accept", "accept-encoding"} - {name.lower()}
    assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n") == 3 + len(extra)
    assert b"\0" not in data


def test_no_repr_contains_secrets() -> None:
    request = Request(url="http://u:s3cret@a/", headers=(("X", "s3cret"),), body=b"s3cret")
    config = ClientConfig(proxy="http://u:s3cret@p/", environ={"K": "s3cret"})
    assert "s3cret" not in repr(request) + repr(config)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("API.test:443:10.0.0.1", ("api.test", 443, "10.0.0.1")),
        ("a:1:[::1]", ("a", 1, "::1")),
        ("a:1:2001:db8::1", ("a", 1, "2001:db8::1")),
        ("[::2]:80:127.0.0.1", ("::2", 80, "127.0.0.1")),
    ],
)
def test_resolve_has_the_syntax_of_curl(text: str, entry: tuple[str, int, str]) -> None:
    assert parse_resolve(text) == entry


@pytest.mark.parametrize(
    "text", ["", "a", "a:1", "a:1:", "a:x:1.2.3.4", "a:0:1.2.3.4", "a:70000:1.2.3.4", "a:1:host"]
)
def test_an_invalid_resolve_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="--resolve"):
        parse_resolve(text)
