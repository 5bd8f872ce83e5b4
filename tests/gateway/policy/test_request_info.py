"""What is read of a request's body and headers before anything is decided."""

from __future__ import annotations

import json

import pytest

from undam.gateway.interfaces import RequestInfo
from undam.gateway.policy.request_info import read_request_info
from undam.http1.request_parser import parse_request_head

_ASKS = {"model": "größer", "stream": True}


def _facts(body: bytes, *lines: bytes, method: bytes = b"POST") -> RequestInfo:
    head = parse_request_head(
        b"%b /v1/chat/completions HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, b"".join(lines))
    )
    return read_request_info(head, head.headers, body, client="127.0.0.1", whole=True)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(_ASKS).encode(),
        json.dumps(_ASKS, ensure_ascii=False).encode(),
        b" \r\n" + json.dumps(_ASKS).encode() + b"\n",
        json.dumps(_ASKS).encode("utf-8-sig"),
        json.dumps(_ASKS).encode("utf-16"),
    ],
)
def test_a_body_is_read_however_it_is_written(body: bytes) -> None:
    info = _facts(body)
    assert (info.model, info.streams, info.repeatable) == ("größer", True, True)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"stream": true} x', b"[true]", b'"stream"', b"\xff", b"[" * 100_000]
)
def test_of_what_is_no_object_nothing_is_known(body: bytes) -> None:
    info = _facts(body)
    assert (info.model, info.streams, info.repeatable) == ("", False, False)


@pytest.mark.parametrize(
    ("said", "line", "method", "repeatable"),
    [
        ({"store": True}, b"", b"POST", False),
        ({"background": True}, b"", b"POST", False),
        ({"store": False}, b"", b"POST", True),
        ({"store": True}, b"idempotency-key: 1\r\n", b"POST", True),
        ({}, b"", b"GET", True),
        ({}, b"", b"PATCH", False),
    ],
)
def test_what_may_be_sent_twice(
    said: dict[str, object], line: bytes, method: bytes, repeatable: bool
) -> None:
    body = json.dumps(_ASKS | said).encode()
    assert _facts(body, line, method=method).repeatable is repeatable


def test_a_sound_request_id_is_kept_and_another_made_anew() -> None:
    assert _facts(b"", b"X-Request-ID: abc-1\r\n").request_id == "abc-1"
    for lines in ([], [b"X-Request-Id: a b\r\n"], [b"X-Request-Id: " + b"a" * 129 + b"\r\n"]):
        made = _facts(b"", *lines).request_id
        assert len(made) == 32
        assert made != _facts(b"", *lines).request_id
