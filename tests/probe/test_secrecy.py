"""Secrets in findings and errors are recognised and redacted."""

from __future__ import annotations

import base64
import json

from undam.errors import NetworkError
from undam.probe.secrecy import (
    clean_error,
    clean_finding,
    clean_text,
    names_secret,
    secrets_in,
)
from undam.rules import finding

SECRET = 'p/ss w"rd'


def test_forms_of_a_password() -> None:
    url = "http://me:p%2Fss%20w%22rd@h/?q=1"
    secrets = secrets_in([], [url])
    pair = base64.b64encode(f"me:{SECRET}".encode()).decode()
    for form in (SECRET, json.dumps(SECRET)[1:-1], "p%2Fss%20w%22rd", pair, 'p\\/ss w\\"rd'):
        assert clean_text(f"<{form}>", secrets) == "<[redacted]>"
    assert secrets_in([("Authorization", f"Basic {pair}")], []) != ()
    assert SECRET in secrets_in([("Authorization", f"Basic {pair}")], [])
    assert secrets_in([("Authorization", "Basic not!base64")], []) != ()


def test_a_key_in_copied_quotation_marks_that_a_server_quotes_as_latin_1() -> None:
    key = "\u201csecret\u201d"
    secrets = secrets_in([("X-Api-Key", key)], [])
    shown = key.encode().decode("latin-1")
    for form in (key, shown, json.dumps(key)[1:-1], json.dumps(shown)[1:-1]):
        assert clean_text(f"<{form}>", secrets) == "<[redacted]>"


def test_short_and_ordinary_values_are_not_secrets() -> None:
    assert (
        secrets_in([("X-Key", "abc"), ("Accept", "application/json")], ["http://h/?q=abcdef"]) == ()
    )
    assert secrets_in([], ["http://me@h/", "http://[bad"]) == ()


def test_urls_with_credentials() -> None:
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
