"""Requests in flight without sockets: detection of the response's end, and the final result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.loadtest.analysis.response_analyzer import ApiContext, EndCause
from undam.loadtest.protocol import MAX_BODY_BYTES
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.schedule import DueRequest
from undam.record.request_result import Outcome

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = b"4\r\nab\r\n\r\n4\r\n\n\r\n\r\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "keep"),
    [
        (CHUNKED + BODY, True),
        (CHUNKED + BODY[:-2] + b"Trailer: x\r\n\r\n", True),
        (HEAD + b"Content-Length: 9\r\n\r\n123456789", True),
        (HEAD + b"Connection: close\r\nContent-Length: 9\r\n\r\n123456789", False),
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + BODY, True),
    ],
)
def test_end_is_detected_with_the_last_byte_for_any_split(data: bytes, keep: bool) -> None:
    for cut in range(1, len(data)):
        active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
        assert not active.receive((1, 0, 0, data[:cut]))
        if cut % 3 == 0:
            # Analyzing a response before its end discards the stored reads.
            active.analyze(ApiContext("openai-chat"), 5)
        assert active.receive((2, 0, 0, data[cut:])), cut
        assert active.complete
        assert active.keep is keep
        assert active.fault is None


def test_body_until_close_has_no_end_before_the_connection_closes() -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    assert not active.receive((1, 0, 0, HEAD + b"\r\n" + BODY))
    assert not active.receive((1, 0, 0, BODY))


def test_connection_with_data_after_the_response_is_not_kept() -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    assert active.receive((1, 0, 0, CHUNKED + BODY + CHUNKED + BODY))
    assert active.complete
    assert not active.keep


@pytest.mark.parametrize(
    ("reads", "kind"),
    [
        ([b"SSH-2.0\r\n"], "bad-http"),
        ([CHUNKED, b"zz\r\n\r\n"], "bad-http"),
        ([b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], "bad-http"),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 30_000 + b"\r\n"] * 3], "too-large"),
        ([CHUNKED + b"7fffffff\r\n", *[b"y" * (1 << 20)] * (MAX_BODY_BYTES >> 20)], "too-large"),
        ([HEAD + b"\r\n", *[b"y" * (1 << 20)] * (MAX_BODY_BYTES >> 20)], "too-large"),
    ],
)
def test_invalid_or_oversized_response_stops_reading(reads: list[bytes], kind: str) -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    assert [active.receive((1, 0, 0, data)) for data in reads].index(True) == len(reads) - 1
    assert active.fault is not None
    assert active.fault[0] == kind


def test_request_that_never_connected_has_a_result() -> None:
    active = ActiveRequest(DueRequest(5, 77, 0, True), b"", 0)
    active.end(3, 99, EndCause.FAULT, ("refused", "connection refused"))
    result = active.result(ApiContext("openai-chat"))
    assert (result.number, result.worker) == (5, 3)
    assert (result.intended_ns, result.ended_ns) == (77, 99)
    assert (result.outcome, result.kind, result.started_ns) == (Outcome.ERROR, "refused", None)


_PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([
        HEAD, b"\r\n", CHUNKED, BODY, b"0\r\n\r\n", b"5\r\n", b"data: {\n\n", b"data: [DONE]\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 429 Slow\r\n", b"Retry-After: 99999999999\r\n",
        b"Content-Encoding: gzip\r\n", b"Content-Length: 10\r\n", b"Transfer-Encoding: gzip\r\n",
        b"Retry-After: Mon, 99 Foo\r\n", b"Content-Type: application/x-ndjson\r\n", b'{"a": 1}\n',
    ]),
)  # fmt: skip


@given(st.lists(_PIECES, max_size=8), st.sampled_from(EndCause), st.booleans())
def test_any_response_yields_a_result(pieces: list[bytes], cause: EndCause, whole: bool) -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    for data in [b"".join(pieces)] if whole else pieces:
        if data and active.receive((1, 0, 0, data)):
            break
    fault = active.fault or ("reset", "connection reset")
    active.end(0, 9, cause, fault if cause is EndCause.FAULT else ("", ""))
    context = ApiContext("plain", "a.0")
    while not active.analyze(context, 2):
        pass
    result = active.result(context)
    assert bool(result.kind) == (result.outcome in {Outcome.ERROR, Outcome.INCOMPLETE})
    assert all(read.events > 0 for read in result.reads)
    assert result.message.isprintable()
