"""Request information: model, stream flag, whether a request is repeatable, and request ID."""

from __future__ import annotations

import gzip
import json
import sys

import pytest

from undam.gateway.body.inspection import BodyInspection
from undam.gateway.interfaces import RequestInfo
from undam.gateway.policy.request_info import (
    depends_on_body,
    malformed_request_info,
    read_request_info,
    set_fields,
)
from undam.http1.request_parser import parse_request_head

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BODY = {"model": "größer", "stream": True}


def _info(
    body: bytes, *headers: bytes, method: bytes = b"POST", path: bytes = b"/v1/chat/completions"
) -> RequestInfo:
    head = parse_request_head(
        b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, path, b"".join(headers))
    )
    info = read_request_info(head, head.headers, client="127.0.0.1")
    if depends_on_body(info):
        inspection = BodyInspection(info.get(b"content-encoding") or b"")
        inspection.add(body)
        while inspection.step():
            pass
        set_fields(info, inspection.finish(), repeatable=True)
    return info


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
        ({"conversation": "c_1"}, b"", b"POST", False),
        ({"conversation": None, "store": None, "background": False}, b"", b"POST", True),
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


@pytest.mark.parametrize(
    ("path", "body", "repeatable"),
    [
        (b"/v1/responses", b'{"stream":true,"store":false}', True),
        (b"/v1/responses", b"{}", True),
        (b"/v1/responses", b'{"store":true}', False),
        (b"/v1/responses/r_1/cancel", b"{}", False),
        (b"/v1/embeddings?x=1", b'{"input":"x"}', True),
        (b"/v1/rerank", b'{"query":"x"}', True),
        (b"/v2/rerank/", b'{"query":"x"}', True),
        (b"/score", b'{"text_1":"x"}', True),
        (b"/tokenize", b'{"prompt":"x"}', True),
        (b"/v1/messages/count_tokens", b"{}", True),
        (b"/v1beta/models/m:streamGenerateContent", b"{}", True),
        (b"/v1/audio/transcriptions", b"--boundary", True),
        (b"/v1/audio/speech", b'{"input":"x"}', True),
        (b"/v1/images/generations", b'{"prompt":"x"}', True),
        (b"/v1beta/models/m:batchEmbedContents", b"{}", True),
        (b"/messages", b"{}", True),
        (b"/anthropic/v1/messages/", b"{}", True),
        (b"/v1/threads/t_1/messages", b'{"role":"user","content":"x"}', False),
        (b"/api/rooms/7/messages", b'{"text":"x"}', False),
        (b"/v1/messages/batches", b"{}", False),
        (b"/v1/embeddings", b"not JSON", False),
        (b"/v1/files", b"{}", False),
        (b"/v1/fine_tuning/jobs", b"{}", False),
    ],
)
def test_requests_that_only_compute_a_response_are_repeatable(
    path: bytes, body: bytes, repeatable: bool
) -> None:
    assert _info(body, path=path).repeatable is repeatable


@pytest.mark.parametrize(
    ("coding", "body", "streams"),
    [
        (b"gzip", gzip.compress(json.dumps(_BODY).encode()), True),
        (b"zstd", zstd.compress(json.dumps(_BODY).encode()), True),
        (b"identity", json.dumps(_BODY).encode(), True),
        (b"gzip", b"not gzip", False),
        (b"unknown", b"", False),
    ],
    ids=["gzip", "zstd", "identity", "invalid gzip", "unknown"],
)
def test_compressed_bodies_are_inspected(coding: bytes, body: bytes, streams: bool) -> None:
    info = _info(body, b"Content-Encoding: " + coding + b"\r\n")
    assert info.streams is streams
    assert info.repeatable is streams


def test_the_accept_header_decides_if_the_body_cannot_be_decoded() -> None:
    accept = b"Accept: text/event-stream\r\n"
    assert _info(b"", b"Content-Encoding: unknown\r\n", accept).streams
    assert not _info(b"{}", accept).streams


@pytest.mark.parametrize(
    ("data", "method", "target"),
    [
        (b"GET /x HTTP/1.1\r\nHost : a", "GET", "/x"),
        (b"\r\nPOST /y?z HTTP/2.0\r\n", "POST", "/y?z"),
        (b"GET /only", "GET", "/only"),
        (b"\x16\x03\x01", "", ""),
        (b"", "", ""),
    ],
)
def test_the_readable_parts_of_a_malformed_request_are_known(
    data: bytes, method: str, target: str
) -> None:
    info = malformed_request_info(None, data, client="127.0.0.1")
    assert (info.method, info.target, info.client) == (method, target, "127.0.0.1")
    assert len(info.request_id) == 32
