"""Redaction removes secrets and does not change other text."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.synthetic_streams import Write, exchange
from undam.record import (
    HIDDEN,
    Head,
    read_record,
    record_lines,
    redact_body,
    redact_headers,
    redact_text,
    redact_url,
    secrets_of,
)
from undam.secrecy import is_secret_header, is_secret_name

SECRET = 'p\u00e4ss/w"rd\\9'


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://me:pass@host/v1?x=1", "https://host/v1?x=1"),
        ("https://host/v1?key=abc&x=1#top", f"https://host/v1?key={HIDDEN}&x=1#top"),
        ("https://host/?API_KEY=abc;d", f"https://host/?API_KEY={HIDDEN}"),
        ("https://host/?x=1&sig=a%2Fb", f"https://host/?x=1&sig={HIDDEN}"),
        ("https://host/@me?monkey=1", "https://host/@me?monkey=1"),
    ],
)
def test_urls(url: str, redacted: str) -> None:
    assert redact_url(url) == redacted
    assert redact_url(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-****abcd.",
        "Authorization: Bearer abc.def-123=",
        "got header basic dXNlcjpwYXNz=",
        "see http://user:hunter22@proxy:3128/",
        "POST /v1?api-key=hunter22 failed",
        "http://h/cb#access_token=hunter22&x=1",
        "http://h/?a=1&amp;token=hunter22",
        "http://h/?a=1\\u0026token=hunter22",
        "http://h/?a[token]=hunter22",
        "Authorization: Token hunter22",
        '{"headers": {"x-api-key": "hunter22", "Cookie": "sid=hunter22; a=b"}}',
        "{'password': 'hunter22'}",
        '{\\"api_key\\": \\"hunter22\\"}',
        "client_secret=hunter22&x=1",
        "Bearer: hunter22",
        "Bearer hunterhunterhunterhunterhunter22",
        'the body was {"url": "http://h/?token=hunter22"}',
    ],
)
def test_text_with_the_form_of_a_secret(text: str) -> None:
    redacted = redact_text(text)
    for secret in ("abcd", "abc.def", "dXNl", "hunter22", "user:"):
        assert secret not in redacted
    assert redact_text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "a basic understanding of the bearer certificates",
        "task-forces and disk-drives",
        "mail me@example.org about http://example.org/a?monkey=1",
        '"http://a", "me@b"',
        '{"token": "hello123", "key": "value123", "index": 5, "password": "required"}',
        "set api_key=None, or password=secret; basic internationalization",
        "https://hf-mirror.com/a, pk-strategy",
        "Authorization: required, cookie: none",
        "nvapi-docs, pa-system-administration, fw_version, ak-47, eyJ, AKIA, npm_config_registry",
    ],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "key",
    [
        "AIzaSyD-abcdefghijklmnopqrstuvwxyz12345", "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11AAAAAAA0abcdefghijkl_mnopqrstuvwxyz", "glpat-abcdefghij0123456789",
        "AKIAIOSFODNN7EXAMPLE", "xoxb-123456789012-abcdefghijkl", "nvapi-abcdefghijklmnop012345",
        "r8_abcdefghijklmnopqrstuvwxyz01234567", "pplx-abcdefghijklmnopqrstuvwxyz0123",
        "tgp_v1_abcdefghijklmnopqrstuvwxyz", "csk-abcdefghijklmnopqrstuvwxyz0123",
        "ya29.a0AfH6SMBabcdefghijklmnop", "lsv2_pt_abcdef0123456789_abcdef",
        "dapi0123456789abcdef0123456789abcdef", "hvs.CAESIabcdefghijk1mnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    ],
)  # fmt: skip
def test_keys_of_other_vendors(key: str) -> None:
    text = f"Incorrect API key provided: {key}. See the docs."
    redacted = redact_text(text)
    assert key[6:14] not in redacted
    assert key[-8:] not in redacted
    assert redacted.startswith("Incorrect API key provided: ")
    assert is_secret_header("X-Note", key)
    (body,) = redact_body([text.encode()])
    assert len(body) == len(text)
    assert key[6:14].encode() not in body


def test_a_private_key() -> None:
    for end in ("\n", "\\n"):
        text = f"-----BEGIN RSA PRIVATE KEY-----{end}MIIhunter22{end}-----END RSA PRIVATE KEY-----"
        assert "hunter22" not in redact_text(text)


def test_text_around_a_secret_parameter_is_unchanged() -> None:
    text = json.dumps({"content": "http://h/?key=abc", "finish_reason": None})
    assert json.loads(redact_text(text)) == {
        "content": f"http://h/?key={HIDDEN}",
        "finish_reason": None,
    }


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(c):04X}" for c in SECRET),
        "p%C3%A4ss%2fw%22rd%5C9",
    ],
)
def test_secret_is_found_in_every_escape(form: str) -> None:
    assert redact_text(f"<{form}>", [SECRET]) == f"<{HIDDEN}>"
    (body,) = redact_body([f"<{form}>".encode()], [SECRET])
    assert body == b"<" + b"*" * len(form.encode()) + b">"


def test_longest_secret_first_and_empty_secret_ignored() -> None:
    assert redact_text("abcdef abc", ["abc", "abcdef", ""]) == f"{HIDDEN} {HIDDEN}"


def test_secret_outside_the_basic_plane() -> None:
    secret = "key\U0001f511key"
    assert redact_text(json.dumps(secret), [secret]) == f'"{HIDDEN}"'


@given(st.binary(max_size=40), st.binary(max_size=40), st.data())
def test_secret_across_reads_is_redacted_and_sizes_are_kept(
    before: bytes, after: bytes, data: st.DataObject
) -> None:
    secret = b"s3cret/t\xc3\xb6ken"
    body = before + secret + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reads = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    hidden = redact_body(reads, [secret.decode()])
    assert [len(read) for read in hidden] == [len(read) for read in reads]
    assert secret not in b"".join(hidden)


def test_redacted_number_is_still_a_number() -> None:
    (body,) = redact_body([b'{"pin": 12345678}'], ["12345678"])
    assert json.loads(body) == {"pin": 11111111}


def test_secret_headers() -> None:
    headers = (("Set-Cookie", "a=b"), ("X-API-Key", "k"), ("Content-Type", "text/html"))
    assert redact_headers(headers) == (
        ("Set-Cookie", HIDDEN), ("X-API-Key", HIDDEN), ("Content-Type", "text/html"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "apikey", "Ocp-Apim-Subscription-Key", "X-Amz-Security-Token", "X-Auth-Token",
        "Undam-Token", "X-My-Password", "CF-Access-Client-Secret", "Private-Token", "X-Any-Key",
        "X-Any-Secret", "xAccessToken", "X-ApiKey", "x_session_token", "WWW-Authenticate",
        "Authorization", "Proxy-Authorization", "X-JWT", "access_token", "sig", "code", "otp",
        "DPoP", "X-PW",
    ],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert is_secret_name(name.upper())
    assert redact_headers([(name, "hunter22")]) == ((name, HIDDEN),)
    assert secrets_of([(name, "hunter22")]) == ("hunter22",)


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type", "X-Cache-Key", "Surrogate-Key", "Idempotency-Key", "x-request-id",
        "x-ratelimit-remaining-tokens", "x-ratelimit-limit-token-count", "max_tokens", "monkey",
        "Accept", "Server", "Via", "author", "keyboard", "passage", "error_code", "X-Token-Count",
        "Sec-WebSocket-Key", "",
    ],
)  # fmt: skip
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)


def test_values_with_the_form_of_a_secret_count_under_any_name() -> None:
    assert is_secret_header("X-Note", "the key sk-abcdefgh1234")
    assert is_secret_header("Referer", "http://u:p@h/")
    assert is_secret_header("Referer", "http://h/?token=abc")
    assert not is_secret_header("Referer", "http://h/?q=abc")
    assert (
        redact_headers([("Location", "http://h/?token=abc")])[0][1] == f"http://h/?token={HIDDEN}"
    )


def test_secrets_of_request_headers() -> None:
    found = secrets_of([("Authorization", "Bearer abcdefg"), ("api-key", "short"), ("Accept", "x")])
    assert found == ("Bearer abcdefg", "abcdefg")
    found = secrets_of([("Cookie", "sid=hunter22; theme=dark")])
    assert "hunter22" in found


def test_record_contains_no_secret() -> None:
    raw = SECRET.encode()
    noise = b"\xff" + raw + b"\xfe"
    recorded = exchange(
        [Write(1, b"data: " + raw[:4]), Write(2, raw[4:] + b"\n\n"), Write(3, noise)],
        head=Head(200, "1.1", (("Location", f"/?x={SECRET}"), ("Set-Cookie", "k=" + SECRET))),
        error=f"refused {SECRET}",
        hop=f"edge {SECRET}",
    )
    about = {"argv": ("check", SECRET), SECRET: [{"deep": SECRET}], "n": 1}
    lines = list(record_lines([recorded], about, [SECRET]))
    read = repr(read_record(lines))
    for text in ("".join(lines), read):
        assert SECRET not in text
        assert json.dumps(SECRET)[1:-1] not in text
    kept = b"".join(
        base64.b64decode(row["base64"]) if "base64" in row else row["text"].encode()
        for row in map(json.loads, lines)
        if row["kind"] == "arrival"
    )
    assert kept == b"data: " + b"*" * len(raw) + b"\n\n\xff" + b"*" * len(raw) + b"\xfe"
