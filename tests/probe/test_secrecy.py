"""Secrets vanish from exchanges, findings and errors; sizes and times stay."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from support.streams import Sent, exchange
from undam.errors import NetworkError
from undam.findings import finding
from undam.probe.secrecy import (
    clean_error,
    clean_exchange,
    clean_finding,
    clean_text,
    names_secret,
    secrets_in,
)
from undam.record import Head

SECRET = 'p/ss w"rd'


@given(st.data())
def test_no_cut_hides_a_secret_and_no_byte_is_lost(data: st.DataObject) -> None:
    secret = data.draw(st.sampled_from(["abcabcab", "123456", "aaaaaaa"]))
    body = data.draw(st.lists(st.sampled_from([secret, "x", "abc", "12", "aa", "\n"]), max_size=12))
    text = "".join(body).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    before = exchange([Sent(float(i), piece) for i, piece in enumerate(pieces)])
    after = clean_exchange(before, secrets_in([("Authorization", f"Bearer {secret}")], []))
    joined = b"".join(arrival.data for arrival in after.arrivals)
    assert secret.encode() not in joined
    assert [len(a.data) for a in after.arrivals] == [len(a.data) for a in before.arrivals]
    assert [a.at_ns for a in after.arrivals] == [a.at_ns for a in before.arrivals]
    assert all(new in {old, ord("*"), ord("1")} for new, old in zip(joined, text, strict=True))
    if secret.encode() not in text:
        assert after.arrivals == before.arrivals


def test_json_stays_json() -> None:
    text = json.dumps({"a": "key-12345", "b": 1234567}).encode()
    secrets = secrets_in([("x-api-key", "key-12345"), ("x-api-key", "1234567")], [])
    (arrival,) = clean_exchange(exchange([Sent(1, text)]), secrets).arrivals
    assert json.loads(arrival.data) == {"a": "*********", "b": 1111111}


def test_head_and_error_are_cleaned() -> None:
    head = Head(200, "1.1", (("Server", "nginx hunter22"), ("X", "y")))
    after = clean_exchange(
        exchange([], head=head, error="it said hunter22"), secrets_in([("X-Token", "hunter22")], [])
    )
    assert after.head is not None
    assert after.head.headers == (("Server", "nginx [redacted]"), ("X", "y"))
    assert after.error == "it said [redacted]"


def test_forms_of_a_password() -> None:
    url = "http://me:p%2Fss%20w%22rd@h/?q=1"
    secrets = secrets_in([], [url])
    pair = base64.b64encode(f"me:{SECRET}".encode()).decode()
    for form in (SECRET, json.dumps(SECRET)[1:-1], "p%2Fss%20w%22rd", pair, 'p\\/ss w\\"rd'):
        assert clean_text(f"<{form}>", secrets) == "<[redacted]>"
    assert secrets_in([("Authorization", f"Basic {pair}")], []) != ()
    assert SECRET in secrets_in([("Authorization", f"Basic {pair}")], [])
    assert secrets_in([("Authorization", "Basic not!base64")], []) != ()


def test_short_and_ordinary_values_are_no_secrets() -> None:
    assert (
        secrets_in([("X-Key", "abc"), ("Accept", "application/json")], ["http://h/?q=abcdef"]) == ()
    )
    assert secrets_in([], ["http://me@h/", "http://[bad"]) == ()


def test_urls_that_bring_credentials() -> None:
    assert names_secret("http://u@h/")
    assert names_secret("http://h/?api-version=1&subscription-key=x")
    assert names_secret("http://h/?code=x")
    assert not names_secret("http://h/?api-version=1&max_tokens=3&monkey=1")


def test_finding_and_error() -> None:
    found = finding("UD603", "edge", status=200, error="no hunter22", number=1, more=["hunter22"])
    clean = clean_finding(found, ("hunter22",))
    assert "hunter22" not in repr(clean)
    assert clean.evidence["number"] == 1
    assert (clean.code, clean.severity) == (found.code, found.severity)
    error = NetworkError("proxy hunter22; give http://USER:PASSWORD@HOST:PORT", phase="proxy")
    clean_error(error, ("hunter22",))
    assert str(error) == "proxy [redacted]; give http://USER:PASSWORD@HOST:PORT"
    assert error.phase == "proxy"
