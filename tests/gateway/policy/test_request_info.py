"""read_request_info: model, stream flag, repeatability and request ID."""

from __future__ import annotations

import json

import pytest

from undam.gateway.interfaces import RequestInfo
from undam.gateway.policy.request_info import read_request_info
from undam.http1.request_parser import parse_request_head

_BODY = {"model": "größer", "stream": True}


def _info(body: bytes, *headers: bytes, method: bytes = b"POST") -> RequestInfo:
    head = parse_request_head(
        b"%b /v1/chat/completions HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, b"".join(headers))
    )
    return read_request_info(head, head.headers, body, client="127.0.0.1", whole=True)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(_BODY).encode(),
        json.dumps(_BODY, ensure_ascii=False).encode(),
        b" \r\n" + json.dumps(_BODY).encode() + b"\n",
        json.dumps(_BODY).encode("utf-8-sig"),
        json.dumps(_BODY).encode("utf-16"),
    ],
)
def test_json_bodies_are_parsed_in_every_encoding(body: bytes) -> None:
    info = _info(body)
    assert (info.model, info.streams, info.repeatable) == ("größer", True, True)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"stream": true} x', b"[true]", b'"stream"', b"\xff", b"[" * 100_000]
)
def test_bodies_that_are_not_json_objects_are_ignored(body: bytes) -> None:
    info = _info(body)
    assert (info.model, info.streams, info.repeatable) == ("", False, False)


@pytest.mark.parametrize(
    ("fields", "header", "method", "repeatable"),
    [
        ({"store": True}, b"", b"POST", False),
        ({"background": True}, b"", b"POST", False),
        ({"store": False}, b"", b"POST", True),
        ({"store": True}, b"idempotency-key: 1\r\n", b"POST", True),
        ({}, b"", b"GET", True),
        ({}, b"", b"PATCH", False),
    ],
)
def test_repeatable_requests(
    fields: dict[str, object], header: bytes, method: bytes, repeatable: bool
) -> None:
    body = json.dumps(_BODY | fields).encode()
    assert _info(body, header, method=method).repeatable is repeatable


def test_a_valid_request_id_is_kept_and_others_are_replaced() -> None:
    assert _info(b"", b"X-Request-ID: abc-1\r\n").request_id == "abc-1"
    for headers in ([], [b"X-Request-Id: a b\r\n"], [b"X-Request-Id: " + b"a" * 129 + b"\r\n"]):
        generated = _info(b"", *headers).request_id
        assert len(generated) == 32
        assert generated != _info(b"", *headers).request_id
