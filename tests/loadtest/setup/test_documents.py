"""URLs and request bodies for which the response is a document."""

from __future__ import annotations

import json

import pytest

from undam.apis import CHAT, MESSAGES
from undam.errors import UsageError
from undam.loadtest.setup.documents import EMBEDDINGS, RERANK, asks_for_document, document_api
from undam.loadtest.setup.prompts import Prompt, request_bodies


def test_path_selects_the_api() -> None:
    assert document_api("/v1/embeddings") is EMBEDDINGS
    assert document_api("/v2/rerank/") is RERANK
    assert document_api("/v1/chat/completions") is None
    assert document_api("") is None


def test_body_that_asks_for_a_document() -> None:
    assert asks_for_document(b'{"stream": false}')
    assert not any(map(asks_for_document, (b'{"stream": true}', b"{}", b"[false]", b"no")))


def bodies(api: object, *prompts: Prompt) -> list[dict[str, object]]:
    found = request_bodies(api, prompts, models=["m"], max_tokens=5, streams=False)  # type: ignore[arg-type]
    return [json.loads(body) for body in found]


def test_bodies_of_documents_request_no_stream() -> None:
    (chat,) = bodies(CHAT, Prompt("hello"))
    assert (chat["stream"], chat["max_tokens"]) == (False, 5)
    assert "stream_options" not in chat
    assert bodies(MESSAGES, Prompt("hello"))[0]["stream"] is False
    assert bodies(EMBEDDINGS, Prompt("hello")) == [{"model": "m", "input": "hello"}]
    own = Prompt("hello", body={"documents": ["a", "b"]})
    assert bodies(RERANK, own) == [{"model": "m", "query": "hello", "documents": ["a", "b"]}]


def test_conversation_has_no_embedding() -> None:
    with pytest.raises(UsageError, match="the embeddings API takes a prompt, not messages"):
        bodies(EMBEDDINGS, Prompt(messages=({"role": "user", "content": "x"},)))
