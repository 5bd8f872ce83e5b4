"""Responses that are one JSON document: unstreamed answers, embeddings, scores. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from undam.apis import Kind, Meaning
from undam.apis.meaning import count, error_text, load, mapping
from undam.loadtest.analysis.usage import NO_USAGE, PromptUsage, usage_of


class Document(NamedTuple):
    """Content of a JSON document.

    Attributes:
        kind: kind of failure; "" if the document has content.
        message: one line about the failure.
        tokens: completion tokens, if the server reported usage; an embedding has none.
        usage: prompt, cached and reasoning tokens, if reported.
    """

    kind: str = ""
    message: str = ""
    tokens: int | None = None
    usage: PromptUsage = NO_USAGE


def read_document(body: bytes) -> Document:
    """Return the content of a complete response body."""
    if not body.strip():
        return Document("empty", "the response has no body")
    try:
        value = load(body.decode("utf-8", "replace"))
    except ValueError:
        shown = body[:200].decode("utf-8", "replace")
        return Document("malformed", f"the response is not JSON: {shown}")
    row = mapping(value)
    error = error_text(row)
    if error is not None:
        return Document("error-body", error)
    if not value:
        return Document("empty", "the JSON of the response is empty")
    usage = usage_of(Meaning(Kind.CONTENT, payload=value))
    tokens = _tokens(row)
    if tokens is None and usage.prompt is not None:
        tokens = 0
    return Document(tokens=tokens, usage=usage)


def _tokens(row: object) -> int | None:
    usage = mapping(mapping(row).get("usage"))
    for name in ("completion_tokens", "output_tokens"):
        if (found := count(usage.get(name))) is not None:
            return found
    return None
