"""Extraction of the request properties that determine routing. No I/O."""

from __future__ import annotations

import os
import re

from undam.apis import PLAIN, api_for_path
from undam.gateway.body.inspection import BodyFields
from undam.gateway.interfaces import RequestInfo
from undam.http1.headers import RawHeaders
from undam.http1.request_parser import RequestHead

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Idempotent methods (RFC 9110, 9.2.2)."""

_COMPUTATIONS = (
    "/chat/completions", "/completions", "/completion", "/responses", "/messages/count_tokens",
    "/embeddings", "/embedding", "/embed", "/embed_all", "/embed_sparse", "/similarity", "/rerank",
    "/reranking", "/audio/speech", "/images/generations", "/invocations", "/score", "/classify",
    "/pooling", "/moderations", "/tokenize", "/detokenize",
    "/apply-template", "/infill", "/generate", "/generate_stream", "/api/chat", "/v2/chat",
    ":generateContent", ":streamGenerateContent", ":embedContent", ":batchEmbedContents",
    ":countTokens", ":rawPredict", ":streamRawPredict",
)  # fmt: skip
"""Endings of the paths whose JSON requests only compute a response."""
# Below other resources, such as /v1/threads/ID/messages, a POST request adds a message.
_MESSAGES = re.compile(r"(?:/v[0-9][0-9a-z]{0,15}|\A)/messages\Z")
_COMPUTATIONS_WITHOUT_JSON = ("/audio/transcriptions", "/audio/translations")
"""Endings of the paths whose requests only compute a response, whatever their format."""

# A request ID of this form needs no escaping in logs and headers.
_SAFE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_REQUEST_LINE = re.compile(rb"(?:\r\n)?([!-~]{1,32}) ([!-~]{1,2048})(?: |\r|$)")


def read_request_info(head: RequestHead, headers: RawHeaders, *, client: str) -> RequestInfo:
    """Return the routing information of one request, before its body is read.

    Args:
        headers: the end-to-end headers of ``head``.
    """
    method = head.method
    path = head.target.partition("?")[0]
    client_id, repeatable = b"", method in _SAFE_METHODS
    for name, value in headers:
        low = name.lower()
        if low == b"x-request-id":
            client_id = client_id or value
        elif low == b"idempotency-key":
            repeatable = True
    if method == "POST" and path.rstrip("/").endswith(_COMPUTATIONS_WITHOUT_JSON):
        repeatable = True
    safe = client_id and _SAFE_ID.fullmatch(client_id)
    return RequestInfo(
        method=method,
        target=head.target,
        headers=headers,
        api=api_for_path(path) if method == "POST" else PLAIN,
        streams=False,
        model="",
        repeatable=repeatable,
        body_bytes=head.length,
        request_id=client_id.decode("ascii") if safe else os.urandom(16).hex(),
        client=client,
    )


def malformed_request_info(head: RequestHead | None, data: bytes, *, client: str) -> RequestInfo:
    """Return the known properties of a request that was refused because it is malformed.

    Args:
        head: its head, if that was parsed.
        data: otherwise, the received part of the head.
    """
    if head is not None:
        return read_request_info(head, head.headers, client=client)
    line = _REQUEST_LINE.match(data)
    return RequestInfo(
        method="" if line is None else line[1].decode("ascii"),
        target="" if line is None else line[2].decode("ascii"),
        headers=[],
        api=PLAIN,
        streams=False,
        model="",
        repeatable=False,
        body_bytes=0,
        request_id=os.urandom(16).hex(),
        client=client,
    )


def depends_on_body(info: RequestInfo) -> bool:
    """Return whether the request's handling depends on members of its body."""
    if info.method != "POST":
        return False
    if info.api is not PLAIN or _only_computes(info.path):
        return True
    media_type = (info.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    return media_type == b"application/json"  # The body may contain a model.


def _only_computes(path: str) -> bool:
    """Return whether the JSON requests to ``path`` only compute a response."""
    path = path.rstrip("/")
    return path.endswith(_COMPUTATIONS) or _MESSAGES.search(path) is not None


def set_fields(info: RequestInfo, fields: BodyFields, *, repeatable: bool) -> None:
    """Add the members of the body to the routing information.

    Args:
        repeatable: the body is complete, so the request can be repeated if it has no side effects.
    """
    streams = fields.streams
    if not fields.readable:
        # If the body cannot be decoded, the client's Accept header is the best evidence.
        streams = streams or b"text/event-stream" in (info.get(b"accept") or b"")
    info.streams = streams and info.api is not PLAIN
    info.model = fields.model
    info.user, info.cache_key = fields.user, fields.cache_key
    info.prefix_hash, info.model_span = fields.prefix_hash, fields.model_span
    if repeatable and fields.is_object and not fields.side_effects and _only_computes(info.path):
        info.repeatable = True
