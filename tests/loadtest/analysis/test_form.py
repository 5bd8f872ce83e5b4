"""Form of a response under load."""

from __future__ import annotations

import pytest

from undam.loadtest.analysis.form import form_of
from undam.record import Head


@pytest.mark.parametrize(
    ("kind", "first", "form"),
    [
        ("text/event-stream; charset=utf-8", b"", "sse"),
        ("application/x-ndjson", b"data: x", "ndjson"),
        ("application/jsonl", b"", "ndjson"),
        (None, b"\xef\xbb\xbf\r\ndata:x", "sse"),
        ("text/plain", b": ping", "sse"),
        ("application/json", b'{"data": 1}', "none"),
        ("text/html", b"<p>", "none"),
    ],
)
def test_the_form_of_a_body(kind: str | None, first: bytes, form: str) -> None:
    headers = () if kind is None else (("content-type", kind),)
    assert form_of(Head(200, "1.1", headers), first) == form


def test_form_without_a_head_comes_from_the_first_bytes() -> None:
    assert form_of(None, b"data: x") == "sse"
    assert form_of(None, b"") == "none"
