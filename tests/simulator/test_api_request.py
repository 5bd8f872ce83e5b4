"""Parsing of API requests: fields, defaults and errors."""

from __future__ import annotations

import pytest

from undam.errors import RemoteProtocolError
from undam.simulator.api_request import ApiRequest, parse_api_request


def test_fields_are_parsed() -> None:
    body = b'{"model":"m","stream":true,"max_tokens":7,"stream_options":{"include_usage":true}}'
    request = parse_api_request(body)
    assert (request.stream, request.model, request.max_tokens, request.include_usage) == (
        True,
        "m",
        7,
        True,
    )
    assert request.prompt_tokens == len(body) // 4


@pytest.mark.parametrize("key", ["max_tokens", "max_output_tokens", "max_completion_tokens"])
def test_each_name_of_the_token_limit_is_accepted(key: str) -> None:
    assert parse_api_request(b'{"%b": 3}' % key.encode()).max_tokens == 3


def test_missing_and_null_fields_have_defaults() -> None:
    assert parse_api_request(b"{}") == ApiRequest()
    assert parse_api_request(b'{"stream":null,"max_tokens":null,"stream_options":3}') == ApiRequest(
        prompt_tokens=13
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b"\xff", b'{"stream":1}', b'{"stream":"yes"}', b'{"model":3}',
     b'{"max_tokens":0}', b'{"max_tokens":true}', b'{"max_tokens":"9"}', b"[" * 100_000],
)  # fmt: skip
def test_invalid_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_api_request(body)
