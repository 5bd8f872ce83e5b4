"""Error responses that arrive after the response to the client has started."""

from __future__ import annotations

import pytest

from undam.apis import CHAT
from undam.gateway.http.headers import ResponseHead
from undam.gateway.relay.late_error import LateError


def test_an_error_status_becomes_an_event_with_the_body_of_the_upstream() -> None:
    error = LateError(ResponseHead(429, b"", []), now=5.0)
    assert error.add(b'{"error": {"message": ')
    assert error.add(b'"slow down"}}')
    assert error.event(CHAT) == b'data: {"error":{"message":"slow down"}}\n\n'
    assert error.detail == "the upstream answered 429"
    assert error.deadline == 7.0


def test_a_response_that_is_not_a_stream_becomes_an_error_event() -> None:
    error = LateError(ResponseHead(200, b"", [(b"Content-Type", b"text/html")]), now=5.0)
    assert b"200 with text/html, which is not an event stream" in error.event(CHAT)


def test_of_a_long_body_only_the_beginning_is_collected() -> None:
    error = LateError(ResponseHead(500, b"", []), now=5.0)
    assert error.add(bytes(64 << 10))
    assert not error.add(b"x")


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity"])
def test_a_compressed_body_is_not_quoted(status: int, coding: bytes) -> None:
    headers = [(b"Content-Type", b"text/event-stream"), (b"Content-Encoding", coding)]
    error = LateError(ResponseHead(status, b"", headers), now=5.0)
    error.add(b"quoted \x1f\x8b")
    event = error.event(CHAT)
    encoded = coding != b"identity"
    assert (b"quoted" in event) == (status == 400 and not encoded)
    assert (b"content coding " + coding in event) == (status == 200 and encoded)
