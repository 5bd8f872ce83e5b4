"""APIs whose responses are one JSON document: embeddings and reranking."""

from __future__ import annotations

import json
from collections.abc import Mapping

from undam.apis import PLAIN, Api


def _embeddings_request(model: str, prompt: str, _: int | None) -> Mapping[str, object]:
    return {"model": model, "input": prompt}


def _rerank_request(model: str, prompt: str, _: int | None) -> Mapping[str, object]:
    return {"model": model, "query": prompt, "documents": [prompt]}


EMBEDDINGS = Api("embeddings", _embeddings_request, PLAIN.read, announces_end=False)
RERANK = Api("rerank", _rerank_request, PLAIN.read, announces_end=False)


def document_api(path: str) -> Api | None:
    """Return the API for a URL path if its responses are never streams."""
    last = path.rstrip("/").rpartition("/")[2]
    return {"embeddings": EMBEDDINGS, "rerank": RERANK}.get(last)


def asks_for_document(data: bytes) -> bool:
    """Return whether a request body has `"stream": false`."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and body.get("stream") is False
