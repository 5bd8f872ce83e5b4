"""Responses that consist of one JSON document: content, usage and failures."""

from __future__ import annotations

import json

import pytest

from support.chunked import LAST_CHUNK, chunk
from undam.loadtest.analysis.document import Document, read_document
from undam.loadtest.analysis.response_analyzer import (
    ApiContext,
    EndCause,
    RequestEnd,
    ResponseAnalyzer,
)
from undam.loadtest.analysis.usage import PromptUsage
from undam.record.request_result import CANCELLED, ContentRead, Outcome, RequestResult

CHAT = {"choices": [{"message": {"content": "x"}}], "usage": {"completion_tokens": 3}}
ANTHROPIC = {
    "content": [{"type": "text", "text": "x"}],
    "usage": {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 2},
}
EMBEDDING = {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 9, "total_tokens": 9}}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (CHAT, Document(tokens=3)),
        (ANTHROPIC, Document(tokens=7, usage=PromptUsage(7, 2))),
        (EMBEDDING, Document(tokens=0, usage=PromptUsage(9))),
        ([{"score": 0.5}], Document()),
        ({"error": {"message": "no GPU"}}, Document("error-body", "no GPU")),
        ({}, Document("empty", "the JSON of the response is empty")),
    ],
)
def test_document_has_content_usage_or_a_failure(body: object, expected: Document) -> None:
    assert read_document(json.dumps(body).encode()) == expected


def test_body_that_is_empty_or_not_json_is_a_failure() -> None:
    assert read_document(b" \n").kind == "empty"
    assert read_document(b"<html>no").message == "the response is not JSON: <html>no"
    assert read_document(b"\xff{").kind == "malformed"


def analyzed(reads: list[bytes], cause: EndCause, kind: str = "") -> RequestResult:
    analyzer = ResponseAnalyzer(ApiContext("plain", streams=False))
    for index, data in enumerate(reads):
        analyzer.receive((1000 + index, 0, 0, data))
    ended = RequestEnd(
        number=1, worker=0, warmup=False, intended_ns=900, started_ns=900, ended_ns=2000,
        cause=cause, kind=kind, message=kind, session=4, turn=2,
    )  # fmt: skip
    return analyzer.finish(ended)


def test_document_has_one_event_at_its_end() -> None:
    body = json.dumps(CHAT).encode()
    length = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for reads, cause in (
        ([length + body[:9], body[9:]], EndCause.COMPLETE),
        ([chunked + chunk(body[:9]), chunk(body[9:]) + LAST_CHUNK], EndCause.COMPLETE),
        ([HEAD + b"\r\n" + body[:9], body[9:]], EndCause.CLOSED),
    ):
        result = analyzed(reads, cause)
        assert (result.outcome, result.kind) == (Outcome.COMPLETE, "")
        assert result.reads == (ContentRead(1001, 0, 0, 1),)
        assert (result.tokens, result.answer_ns, result.body_bytes) == (3, 1001, len(body))
        assert (result.session, result.turn) == (4, 2)


@pytest.mark.parametrize(
    ("reads", "cause", "kind", "outcome", "found"),
    [
        ([HEAD + b"Content-Length: 9\r\n\r\n{"], EndCause.CLOSED, "", Outcome.INCOMPLETE,
         "truncated"),
        ([HEAD + b"Content-Length: 9\r\n\r\n{"], EndCause.FAULT, "timeout", Outcome.INCOMPLETE,
         "timeout"),
        ([HEAD + b"Content-Length: 9\r\n\r\n{"], EndCause.STOPPED, CANCELLED, Outcome.ABANDONED,
         CANCELLED),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], EndCause.CLOSED, "",
         Outcome.INCOMPLETE, "bad-http"),
        ([b"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\n\r\nno"], EndCause.COMPLETE, "",
         Outcome.ERROR, "status-429"),
        ([HEAD + b"Content-Length: 2\r\n\r\n{}"], EndCause.COMPLETE, "", Outcome.ERROR, "empty"),
    ],
)  # fmt: skip
def test_document_that_fails_has_a_kind(
    reads: list[bytes], cause: EndCause, kind: str, outcome: Outcome, found: str
) -> None:
    result = analyzed(reads, cause, kind)
    assert (result.outcome, result.kind, result.reads) == (outcome, found, ())
