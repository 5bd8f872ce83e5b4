"""API keys: the key file, the headers that carry a key, and the limits of a key."""

from __future__ import annotations

import hashlib

import pytest

from undam.errors import ConfigSyntaxError
from undam.gateway.policy.keys import KeyUsage, find_key, parse_keys, token_of
from undam.http1.headers import RawHeaders

SECRET = "gw-0123456789abcdef"
KEY_FILE = f"""
# one key per line
alice  {SECRET}      streams=1     # a comment
bob    sha256:{hashlib.sha256(b"bobs own secret key").hexdigest()} rate=2/s
"""


def test_keys_are_parsed_and_matched_but_not_kept_as_text() -> None:
    keys = parse_keys(KEY_FILE, "keys.txt")
    assert [(key.name, key.streams, key.per_second) for key in keys] == [
        ("alice", 1, 0.0),
        ("bob", 0, 2.0),
    ]
    assert SECRET not in repr(keys)
    for token, name in ((SECRET, "alice"), ("bobs own secret key", "bob")):
        found = find_key(keys, token)
        assert found is not None
        assert found.name == name
    for wrong in ("", "gw-", SECRET + "x", "\udcff", hashlib.sha256(SECRET.encode()).hexdigest()):
        assert find_key(keys, wrong) is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file contains no key"),
        ("\nalice", 2, "the syntax of a line is NAME KEY"),
        ("a!ice secretsecretsecret", 1, "the name may contain only"),
        ("alice hunter2", 1, "shorter than 16 characters"),
        (f"alice {SECRET}\nbob {SECRET}", 2, "the same key"),
        (f"alice {SECRET}\nalice {SECRET}x", 2, "'alice' appears twice"),
        (f"alice {SECRET} rate=2", 1, "streams=N or rate"),
        (f"alice {SECRET} streams=0", 1, "streams=N or rate"),
        (f"alice {SECRET} rate=0/s", 1, "streams=N or rate"),
        (f"alice {SECRET} hunter2hunter2", 1, "streams=N or rate"),
    ],
)
def test_an_invalid_line_is_reported_without_its_text(text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        parse_keys(text, "keys.txt")
    assert (caught.value.path, caught.value.line) == ("keys.txt", line)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], ""),
        ([(b"Authorization", b"bearer  one ")], "one"),
        ([(b"Authorization", b"Basic dTpw"), (b"X-API-Key", b" two")], "two"),
        ([(b"api-key", b"three")], "three"),
        ([(b"x-api-key", b"two"), (b"authorization", b"Bearer one")], "one"),
    ],
)
def test_a_key_is_found_in_each_header_that_clients_use(headers: RawHeaders, token: str) -> None:
    assert token_of(headers) == token


def test_a_key_has_stream_and_rate_limits() -> None:
    alice, bob = parse_keys(KEY_FILE, "keys.txt")
    usage = KeyUsage()
    assert usage.acquire(alice, 0.0) is None
    assert usage.acquire(alice, 0.0) == 1.0
    usage.release("alice")
    usage.release("unknown")
    assert usage.acquire(alice, 0.0) is None
    assert [usage.acquire(bob, 0.0) for _ in range(6)] == [None] * 5 + [0.5]
    assert usage.acquire(bob, 0.5) is None
