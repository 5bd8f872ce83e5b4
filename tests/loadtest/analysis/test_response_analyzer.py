"""Every outcome and failure kind of a response, analyzed from a list of reads."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Sequence

import pytest

from support.chunked import LAST_CHUNK, chunk
from undam.loadtest.analysis.response_analyzer import (
    ApiContext,
    EndCause,
    RequestEnd,
    ResponseAnalyzer,
)
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.schedule import DueRequest
from undam.record.request_result import ContentRead, Outcome, RequestResult

STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = f"{STREAM}Transfer-Encoding: chunked\r\n\r\n".encode()
CLOSE = f"{STREAM}\r\n".encode()
DONE = b"data: [DONE]\n\n"
CLOSED, STOPPED = EndCause.CLOSED, EndCause.STOPPED


def token(text: str = "tok", finish: str | None = None, **more: object) -> bytes:
    delta = {"content": text} if text else {}
    event = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps({**event, **more})}\n\n".encode()


def analyzed(
    reads: Sequence[bytes],
    cause: EndCause = EndCause.COMPLETE,
    kind: str = "",
    message: str = "",
    *,
    api: str = "openai-chat",
    path: str | None = None,
    secrets: tuple[str, ...] = (),
) -> RequestResult:
    analyzer = ResponseAnalyzer(ApiContext(api, path, secrets))
    for index, data in enumerate(reads):
        analyzer.receive((1000 + index, index, 2 * index, data))
    ended = RequestEnd(
        number=7, worker=3, warmup=True, intended_ns=900, started_ns=950, ended_ns=5000,
        cause=cause, kind=kind, message=message,
    )  # fmt: skip
    return analyzer.finish(ended)


def test_complete_response_has_its_content_read_by_read() -> None:
    role = chunk(token("", role="x"))
    usage = chunk(b'data: {"choices": [], "usage": {"completion_tokens": 5}}\n\n')
    reads = [
        CHUNKED + role,
        chunk(b": ping\n\n"),
        chunk(token("a")) + chunk(token("b")),
        chunk(token("c"))[:20],
        chunk(token("c"))[20:],
        chunk(token("", "stop")) + usage,
        chunk(DONE) + LAST_CHUNK,
    ]
    result = analyzed(reads)
    assert (result.outcome, result.kind, result.message) == (Outcome.COMPLETE, "", "")
    assert result.reads == (ContentRead(1002, 2, 4, 2), ContentRead(1004, 4, 8, 1))
    assert (result.empties, result.heartbeats, result.tokens) == (1, 1, 5)
    assert (result.head_ns, result.status, result.ended_ns) == (1000, 200, 5000)
    assert (result.number, result.worker, result.warmup) == (7, 3, True)
    assert (result.intended_ns, result.started_ns) == (900, 950)
    assert result.ttft_ns == 1002 - 900


@pytest.mark.parametrize(
    ("reads", "cause", "outcome", "kind", "message"),
    [
        ([], CLOSED, Outcome.ERROR, "closed", "without a response"),
        ([], STOPPED, Outcome.ABANDONED, "", ""),
        ([b"HTTP/1.1 200"], CLOSED, Outcome.ERROR, "truncated", "within the response head"),
        ([b"SSH-2.0-x\r\n"], CLOSED, Outcome.ERROR, "bad-http", "does not use HTTP"),
        ([CLOSE + token(), DONE], CLOSED, Outcome.COMPLETE, "", ""),
        ([CLOSE + token("x", "stop")], CLOSED, Outcome.COMPLETE, "", ""),
        ([CLOSE + token()], CLOSED, Outcome.INCOMPLETE, "no-end", "without the event"),
        ([CLOSE], CLOSED, Outcome.INCOMPLETE, "no-end", "without the event"),
        ([CLOSE + token(), b'data: {"ch'], CLOSED, Outcome.INCOMPLETE, "half-event", "middle"),
        ([CLOSE + token()], STOPPED, Outcome.ABANDONED, "", ""),
        ([CLOSE + token() + DONE], STOPPED, Outcome.COMPLETE, "", ""),
        ([CHUNKED, chunk(token())], CLOSED, Outcome.INCOMPLETE, "truncated", "end of the body"),
        (
            [CHUNKED, chunk(token()) + LAST_CHUNK],
            EndCause.COMPLETE, Outcome.INCOMPLETE, "no-end", "without the event",
        ),
        ([CHUNKED, chunk(token()), b"zz\r\n"], CLOSED, Outcome.INCOMPLETE, "bad-http", "chunk"),
        ([CLOSE + b"data: {nope\n\n", DONE], CLOSED, Outcome.ERROR, "malformed", "{nope"),
        (
            [CLOSE + token(), b'data: {"error": {"message": "no GPU"}}\n\n', DONE],
            CLOSED, Outcome.ERROR, "error-event", "no GPU",
        ),
        (
            [b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices": []}'],
            CLOSED, Outcome.ERROR, "not-a-stream", "application/json, not a stream",
        ),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>hello"],
            CLOSED, Outcome.ERROR, "not-a-stream", "text/html, not a stream",
        ),
        ([b"HTTP/1.1 204 No\r\n\r\n"], EndCause.COMPLETE, Outcome.ERROR, "not-a-stream", "no body"),
        (
            [b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater"],
            EndCause.COMPLETE, Outcome.ERROR, "status-503", "503 Service Unavailable: later",
        ),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000], CLOSED, Outcome.ERROR, "too-large",
         "head"),
        ([CLOSE, *[b"data: " + b"y" * 65536] * 70], CLOSED, Outcome.INCOMPLETE, "too-large",
         "event"),
        ([f"{STREAM}Content-Encoding: gzip\r\n\r\n".encode() + gzip.compress(token() + DONE)],
         CLOSED, Outcome.COMPLETE, "", ""),
        ([f"{STREAM}Content-Encoding: gzip\r\n\r\n".encode() + gzip.compress(token() * 9)[:-9]],
         CLOSED, Outcome.INCOMPLETE, "truncated", "gzip"),
        ([f"{STREAM}Content-Encoding: gzip\r\n\r\n".encode(), token()],
         CLOSED, Outcome.INCOMPLETE, "bad-http", "gzip"),
        ([f"{STREAM}Content-Encoding: lzma\r\n\r\n".encode(), token()],
         CLOSED, Outcome.INCOMPLETE, "bad-http", "lzma"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + chunk(token() + DONE) + LAST_CHUNK],
         EndCause.COMPLETE, Outcome.COMPLETE, "", ""),
        ([f"{STREAM}Content-Length: {len(token() + DONE)}\r\n\r\n".encode(), token() + DONE],
         EndCause.COMPLETE, Outcome.COMPLETE, "", ""),
    ],
)  # fmt: skip
def test_outcome_and_kind_of_each_way_to_end(
    reads: Sequence[bytes], cause: EndCause, outcome: Outcome, kind: str, message: str
) -> None:
    result = analyzed(reads, cause)
    assert (result.outcome, result.kind) == (outcome, kind)
    assert message in result.message
    assert bool(result.message) == bool(kind)


@pytest.mark.parametrize("kind", ["reset", "timeout"])
def test_outcome_after_a_fault_depends_on_what_was_received_before(kind: str) -> None:
    assert analyzed([], EndCause.FAULT, kind, "it broke").outcome is Outcome.ERROR
    begun = analyzed([CHUNKED, chunk(token())], EndCause.FAULT, kind, "it broke")
    assert (begun.outcome, begun.kind, begun.message) == (Outcome.INCOMPLETE, kind, "it broke")
    whole = analyzed([CHUNKED, chunk(token()), chunk(DONE)], EndCause.FAULT, kind, "it broke")
    assert (whole.outcome, whole.kind) == (Outcome.COMPLETE, "")
    assert whole.ended_ns == 1002, "the response was complete before the fault"


def test_error_status_has_its_retry_after_and_no_secret() -> None:
    head = b"HTTP/1.1 429 Slow\r\nRetry-After: %b\r\nContent-Length: 34\r\n\r\n"
    body = b"your key sk-abcdefgh1234567 waits."
    result = analyzed([head % b"7" + body], secrets=("hidden-secret",))
    assert (result.kind, result.retry_after_s) == ("status-429", 7.0)
    assert "sk-abc" not in result.message
    assert "waits" in result.message
    dated = analyzed([head % b"Thu, 01 Jan 1970 00:00:30 GMT" + body])
    assert dated.retry_after_s == pytest.approx(30, abs=0.01)
    assert analyzed([head % b"soon" + body]).retry_after_s is None


def test_content_path_finds_text_and_done_ends_the_stream() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
    lines = [
        b'{"message": {"content": "a"}, "done": false}\n',
        b'{"message": {"content": ""}, "done": false}\n',
        b'{"message": {"content": "b"}, "done": false}\n',
        b'{"message": {"content": ""}, "done": true, "eval_count": 2}',
    ]
    result = analyzed([head, *lines], CLOSED, api="plain", path="message.content")
    assert (result.outcome, result.events, result.empties, result.tokens) == (
        Outcome.COMPLETE,
        2,
        1,
        2,
    )
    in_list = analyzed(
        [head, b'{"choices": [{"text": 5}]}\n'], CLOSED, api="plain", path="choices.0.text"
    )
    assert in_list.events == 1
    missing = analyzed([head, lines[0]], CLOSED, api="plain", path="choices.9.text")
    assert (missing.outcome, missing.kind) == (Outcome.INCOMPLETE, "empty")


def test_last_ndjson_line_needs_no_line_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
    result = analyzed([head, b'{"a": "x"}\n{"a"', b': "y"}'], CLOSED, api="plain", path="a")
    assert result.reads == (ContentRead(1001, 1, 2, 1), ContentRead(1002, 2, 4, 1))
    assert (result.outcome, result.answer_ns) == (Outcome.COMPLETE, 1001)
    last = analyzed([head, b'{"b": 1}\n', b'{"a": "y"}'], CLOSED, api="plain", path="a")
    assert last.answer_ns == 1002


def test_long_answer_is_complete_and_an_endless_one_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = [CHUNKED + chunk(token() * 40_000), chunk(DONE) + LAST_CHUNK]
    result = analyzed(answer)
    assert (result.outcome, result.events) == (Outcome.COMPLETE, 40_000)
    monkeypatch.setattr("undam.loadtest.analysis.counting.MAX_EVENTS", 30_000)
    assert analyzed(answer).kind == "too-large"


def test_document_that_is_too_large_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.loadtest.analysis.response_analyzer.MAX_DOCUMENT_BYTES", 9)
    for size, kind in ((9, ""), (10, "too-large")):
        analyzer = ResponseAnalyzer(ApiContext("plain", streams=False))
        body = b'"' + b"x" * (size - 2) + b'"'
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        analyzer.receive((1000, 0, 0, head + body))
        ended = RequestEnd(
            number=0, worker=0, warmup=False, intended_ns=900, started_ns=950, ended_ns=5000,
            cause=EndCause.COMPLETE,
        )  # fmt: skip
        assert analyzer.finish(ended).kind == kind


@pytest.mark.slow
@pytest.mark.parametrize(
    "reads",
    [
        [CHUNKED + chunk(token()) + chunk(DONE) + LAST_CHUNK],
        [CLOSE + token() + DONE],
        [CHUNKED, chunk(token()), b"4;ext\r\n"],
        [CHUNKED, chunk(token()), b"zz\r\n"],
        [b"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\n\r\nno"],
    ],
)
def test_requests_leave_no_reference_cycles(reads: list[bytes]) -> None:
    """Garbage collection is off in workers, so objects in reference cycles would never be freed."""
    context = ApiContext("openai-chat")

    def play(number: int) -> None:
        active = ActiveRequest(DueRequest(number, 0, 0, False), b"", 0)
        for data in reads:
            unique = data.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nX: %d" % number)
            active.receive((1, 0, 0, unique))
        active.end(0, 1, EndCause.COMPLETE)
        assert active.analyze(context, 1000)
        active.result(context)

    for number in range(5):
        play(number)
    gc.collect()
    gc.disable()
    try:
        for number in range(5, 25):
            play(number)
        assert gc.collect() < 20
    finally:
        gc.enable()


def _plain_result(kind: str, *body: bytes) -> RequestResult:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
    return analyzed([head, *body], CLOSED, api="plain")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/octet-stream", [b'{"message": {"content": "a"}, "done": false}\n'] * 3),
        ("application/json", [b'[{"a": 1}', b',{"a": 2}', b',{"a": 3}]']),
        ("application/json-seq", [b'\x1e{"a": 1}\n'] * 3),
        ("text/plain", [b" word", b" after", b" word"]),
        ("text/plain", [b'0:" word"\n'] * 3 + [b'd:{"finishReason":"stop"}\n']),
        ("application/octet-stream", [b"\x00\x01" * 8] * 3),
        ("multipart/mixed; boundary=b", [b'--b\r\n\r\n{"a": 1}\r\n'] * 3 + [b"--b--\r\n"]),
    ],
)
def test_stream_of_any_framing_is_measured_without_a_content_path(
    kind: str, body: list[bytes]
) -> None:
    if b"done" in body[0]:
        body = [*body, b'{"message": {"content": ""}, "done": true}\n']
    result = _plain_result(kind, *body)
    assert (result.outcome, result.kind) == (Outcome.COMPLETE, "")
    assert [read.events for read in result.reads] == [1, 1, 1]


def test_end_marker_of_a_detected_api_is_required() -> None:
    line = b'{"message": {"content": "a"}, "done": false}\n'
    assert _plain_result("text/plain", line, line).kind == "no-end"
    event = b'data: {"type": "text-delta", "id": "0", "delta": "a"}\n\n'
    assert _plain_result("text/event-stream", event, event).kind == "no-end"


def test_broken_framing_is_malformed() -> None:
    result = _plain_result("application/json", b'[{"a": 1}', b"] and more", b"\n")
    assert (result.outcome, result.kind) == (Outcome.INCOMPLETE, "malformed")
    half = _plain_result("application/json", b'[{"a": 1},', b'{"b"')
    assert (half.outcome, half.kind) == (Outcome.INCOMPLETE, "half-event")
