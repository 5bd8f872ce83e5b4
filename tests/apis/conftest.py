"""Malformed and hostile events, with which the reader of every API is tested."""

from __future__ import annotations

import pytest

_DEEP = 100_000

HOSTILE = {
    "nothing": "",
    "white space": " \n\t",
    "no JSON": "Internal Server Error",
    "half a JSON": '{"choices": [{"delta": {"content": "a',
    "binary": "\x00\ufffd\x1b[31m",
    "a BOM": "\ufeff{}",
    "arrays without an end": "[" * _DEEP,
    "deep arrays": "[" * _DEEP + "]" * _DEEP,
    "deep objects": '{"a":' * _DEEP + "1" + "}" * _DEEP,
    "a deep error": '{"error":' + "[" * _DEEP + "]" * _DEEP + "}",
    "a number of 10000 digits": "9" * 10_000,
    "a count of 10000 digits": '{"usage": {"completion_tokens": ' + "9" * 10_000 + "}}",
    "a huge exponent": '{"usage": {"completion_tokens": 1e999, "output_tokens": -1e999}}',
    "no numbers": '{"usage": {"completion_tokens": NaN, "output_tokens": Infinity}}',
    "null": "null",
    "a string": '"choices"',
    "an array": '["choices", "error"]',
    "a number": "17",
    "true": "true",
    "lone surrogates": '{"choices": [{"delta": {"content": "\\ud800"}}], "type": "\\udfff"}',
}


@pytest.fixture(params=list(HOSTILE.values()), ids=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    """Data of one event that is malformed or crafted to break a reader."""
    data = request.param
    assert isinstance(data, str)
    return data
