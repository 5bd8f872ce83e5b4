"""Selecting the proxy for a request target."""

from __future__ import annotations

import pytest

from undam.errors import UsageError
from undam.wire import ClientConfig
from undam.wire.proxy import choose_proxy
from undam.wire.url import parse_url

ENVIRON = {"HTTP_PROXY": "http://u:s3cret@p.test:3128", "HTTPS_PROXY": "q.test", "ALL_PROXY": "r"}


def name(url: str, environ: dict[str, str], **config: object) -> str | None:
    settings = ClientConfig(environ=environ, **config)  # type: ignore[arg-type]
    proxy = choose_proxy(parse_url(url), settings)
    return proxy.name if proxy is not None else None


def test_a_proxy_of_the_environment_is_named_with_its_variable() -> None:
    assert name("http://a.test/", ENVIRON) == "http://p.test:3128 (HTTP_PROXY)"
    assert name("https://a.test/", ENVIRON) == "http://q.test (HTTPS_PROXY)"
    assert name("https://a.test/", {"ALL_PROXY": "r:1"}) == "http://r:1 (ALL_PROXY)"
    assert name("http://a.test/", {"HTTP_PROXY": "x", "http_proxy": "y"}) == "http://y (HTTP_PROXY)"
    assert name("http://a.test/", {"HTTP_PROXY": ""}) is None
    proxy = choose_proxy(parse_url("http://a.test/"), ClientConfig(environ=ENVIRON))
    assert proxy is not None
    assert proxy.userinfo == b"u:s3cret"
    assert "s3cret" not in repr(proxy)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "x.localhost", "127.1"])
def test_loopback_hosts_use_only_an_explicit_proxy(host: str) -> None:
    for scheme in ("http", "https"):
        assert name(f"{scheme}://{host}:8000/", ENVIRON) is None
        assert name(f"{scheme}://{host}/", ENVIRON, proxy="e.test:1") == "http://e.test:1"


def test_hosts_with_a_given_address_ignore_the_environment() -> None:
    resolve = (("a.test", 80, "10.0.0.1"),)
    assert name("http://a.test/", ENVIRON, resolve=resolve) is None
    assert name("http://a.test:81/", ENVIRON, resolve=resolve) is not None


@pytest.mark.parametrize(
    ("no_proxy", "url", "exempt"),
    [
        ("*", "http://a.test/", True),
        ("a.test", "http://a.test/", True),
        ("x, a.test", "http://a.test./", True),
        (".A.test", "http://b.a.test/", True),
        ("*.a.test", "http://b.a.test/", True),
        ("a.test", "http://b.a.test/", True),
        ("a.test", "http://ba.test/", False),
        ("a.test:81", "http://a.test/", False),
        ("a.test:81", "http://a.test:81/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("[2001:db8::1]:81", "http://[2001:db8::1]:81/", True),
        ("2001:db8::1", "http://[2001:db8::1]/", True),
        ("", "http://a.test/", False),
        (",.,", "http://a.test/", False),
    ],
)
def test_no_proxy_exempts_hosts(no_proxy: str, url: str, exempt: bool) -> None:
    environ = {**ENVIRON, "no_proxy": no_proxy}
    assert (name(url, environ) is None) is exempt


@pytest.mark.parametrize(
    "proxy", ["socks4://u:s3cret@p:1", "https://p", "http://", "http://[", "a b"]
)
def test_a_proxy_of_another_kind_is_rejected_with_its_source(proxy: str) -> None:
    with pytest.raises(UsageError, match="--proxy") as caught:
        name("http://a.test/", {}, proxy=proxy)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="ALL_PROXY"):
        name("http://a.test/", {"ALL_PROXY": proxy})
