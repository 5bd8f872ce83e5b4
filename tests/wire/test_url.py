"""URLs: parsing, redaction of credentials, and rejection of invalid URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import UsageError
from undam.wire.url import Target, follow, is_loopback, parse_url, redacted


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://a.test", Target("http", "a.test", 80, "/")),
        ("HTTPS://A.Test:8443/x?y=1#z", Target("https", "a.test", 8443, "/x?y=1")),
        ("http://a.test?q", Target("http", "a.test", 80, "/?q")),
        ("http://[::1]:8000/", Target("http", "::1", 8000, "/")),
        ("http://[FE80:0::1%25eth0]/", Target("http", "fe80::1%eth0", 80, "/")),
        ("http://bücher.test/ü?ä", Target("http", "xn--bcher-kva.test", 80, "/%C3%BC?%C3%A4")),
        ("http://a.test/%41%2f?%zz", Target("http", "a.test", 80, "/%41%2f?%zz")),
        ("http://a_b.test./", Target("http", "a_b.test.", 80, "/")),
        ("http://u:p%40ss@a.test/", Target("http", "a.test", 80, "/", b"u:p@ss")),
        ("http://a.test:/", Target("http", "a.test", 80, "/")),
    ],
)
def test_a_url_is_parsed(text: str, target: Target) -> None:
    assert parse_url(text) == target


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with"),
        ("localhost:8000/v1", "did you mean http://localhost:8000/v1 ?"),
        ("example.test", "did you mean http://example.test ?"),
        ("ftp://a.test/", "only http:// and https://"),
        ("http://", "it has no host"),
        ("http:///path", "it has no host"),
        ("http://a b/", "space or a control character"),
        ("http://a.test/\r\nX: y", "space or a control character"),
        ("http://a.test:99999/", "out of range"),
        ("http://a.test:x/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://::1:8000/v1", "write an IPv6 address in brackets"),
        ("http://2001:db8::1", "write an IPv6 address in brackets"),
        ("http://x:y:z/", "could not be cast"),
        ("http://[::g]/", "is not a URL"),
        ("http://[v1.a]/", "an invalid IPv6 address"),
        ("http://a..b/", "empty or overlong label"),
        ("http://" + "a" * 64 + ".test/", "overlong label"),
        ("http://" + "a." * 130 + "test/", "not a valid name"),
        ("http://a%20b/", "not a valid name"),
        ("http://ü" + "a" * 80 + ".test/", "not a valid name"),
    ],
)
def test_an_invalid_url_is_rejected_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "user:hunter2@a.test",
        "http://user:hunter2@a.test:x/",
        "http://user:hunter2@",
        "http://user:hunter2/x@a..test/",
        "ftp://hunter2@a.test/",
        "http://user:hunter2 @a.test/",
    ],
)
def test_no_error_contains_credentials(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert "hunter2" not in str(caught.value)


def test_no_text_of_a_target_contains_credentials() -> None:
    target = parse_url("https://user:hunter2@a.test:8443/x")
    assert target.text == "https://a.test:8443/x"
    assert "hunter2" not in repr(target)
    assert redacted("https://user:hunter2@a.test/x") == "https://…@a.test/x"


def test_the_authority_omits_the_default_port_and_the_zone() -> None:
    assert parse_url("https://a.test:443/").authority == "a.test"
    assert parse_url("http://[fe80::1%25eth0]:8000/").authority == "[fe80::1]:8000"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("/b", "http://a.test:81/b"),
        ("c?d", "http://a.test:81/x/c?d"),
        ("//b.test/", "http://b.test/"),
        ("https://a.test/", "https://a.test/"),
        ("", "http://a.test:81/x/y"),
    ],
)
def test_a_redirect_is_resolved(location: str, text: str) -> None:
    assert follow(parse_url("http://a.test:81/x/y"), location).text == text


def test_a_redirect_keeps_credentials_within_the_origin_only() -> None:
    target = parse_url("http://u:p@a.test/")
    assert follow(target, "/b").userinfo == b"u:p"
    assert follow(target, "https://a.test/").userinfo is None
    assert follow(target, "http://x:y@b.test/").userinfo is None


@pytest.mark.parametrize("location", ["mailto:x@a.test", "http://[", "gopher://a.test/"])
def test_a_redirect_to_an_invalid_url_is_rejected(location: str) -> None:
    with pytest.raises(UsageError):
        follow(parse_url("http://a.test/"), location)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("api.localhost.", True),
        ("127.9.9.9", True),
        ("127.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("localhost.test", False),
        ("::2", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_hosts_are_detected_by_name_and_address(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_a_usage_error(text: str) -> None:
    for candidate in (text, f"http://{text}", f"http://a.test/{text}"):
        message, target = "", Target("http", "a", 80, "/")
        try:
            target = parse_url(candidate)
        except UsageError as error:
            message = str(error)
        assert "\n" not in message
        assert target.path.startswith("/")
        assert (target.host + target.path).isascii()
        assert not any(c in target.host + target.path for c in "\r\n \0")
