"""Detection of a response format under load: the framing of events, or one document."""

from __future__ import annotations

import pytest

from undam.framing import Framing
from undam.loadtest.analysis.form import form_of, is_document
from undam.record import Head


def _head(kind: str | None, *more: tuple[str, str]) -> Head:
    headers = () if kind is None else (("content-type", kind),)
    return Head(200, "1.1", (*headers, *more))


@pytest.mark.parametrize(
    ("kind", "body", "form"),
    [
        ("text/event-stream; charset=utf-8", b"", Framing.SSE),
        ("application/jsonl", b"", Framing.NDJSON),
        ("application/json", b"", None),
        (None, b"\xef\xbb\xbf\r\ndata:x", Framing.SSE),
        ("text/plain", b": ping\ndata: x", Framing.SSE),
        ("application/octet-stream", b'{"message": 1}\n', Framing.NDJSON),
        ("application/json", b'[{"candidates": []}', Framing.JSON_ARRAY),
        ("application/json-seq", b'\x1e{"a": 1}', Framing.JSON_SEQ),
        ("text/plain", b"some words", Framing.TEXT),
    ],
)
def test_the_form_of_a_body(kind: str | None, body: bytes, form: Framing | None) -> None:
    assert form_of(_head(kind), body, complete=True) == form


def test_form_without_a_head_comes_from_the_first_bytes() -> None:
    assert form_of(None, b"data: x") is Framing.SSE
    assert form_of(None, b"") is None
    assert form_of(_head("application/json"), b'{"half') is None


@pytest.mark.parametrize(
    ("head", "framing", "body", "events", "document"),
    [
        (_head("application/json"), Framing.NDJSON, b"{}", 1, True),
        (_head("application/json"), Framing.NDJSON, b"{}\n{}", 2, False),
        (_head("application/x-ndjson"), Framing.NDJSON, b"{}", 1, False),
        (_head("text/html"), Framing.TEXT, b"<!doctype html>", 1, True),
        (_head("text/html"), Framing.TEXT, b"<span> a</span>", 1, False),
        (_head("text/plain"), Framing.TEXT, b"a", 1, False),
        (_head("text/plain", ("content-length", "1")), Framing.TEXT, b"a", 1, True),
        (_head("text/event-stream", ("content-length", "9")), Framing.SSE, b"data: x", 1, False),
    ],
)
def test_document_or_stream(
    head: Head, framing: Framing, body: bytes, events: int, document: bool
) -> None:
    assert is_document(head, framing, body, events) is document
