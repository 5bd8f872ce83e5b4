"""Extracts the properties of a request that determine its routing. No I/O."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, Api, api_for_path
from undam.gateway.interfaces import RequestInfo
from undam.http1.headers import RawHeaders
from undam.http1.request_parser import RequestHead

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Idempotent methods (RFC 9110, 9.2.2)."""

_REPEATABLE_APIS: frozenset[str] = frozenset({CHAT.name, COMPLETIONS.name, MESSAGES.name})
# A request ID of this form needs no escaping in logs and headers.
_SAFE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_MODEL_CHARS = 200
_decode_json = json.JSONDecoder().raw_decode
_BLANK = " \t\r\n"


def read_request_info(
    head: RequestHead, headers: RawHeaders, body: bytes, *, client: str, whole: bool
) -> RequestInfo:
    """Return the routing information of one request.

    Args:
        headers: the end-to-end headers of ``head``.
        whole: ``body`` is complete. An incomplete body is not parsed.
    """
    method = head.method
    api = api_for_path(head.target.partition("?")[0]) if method == "POST" else PLAIN
    fields: Mapping[str, object] = _json_object(body) if api is not PLAIN and whole else {}
    model = fields.get("model")
    client_id, repeatable = b"", method in _SAFE_METHODS or _is_repeatable(api, fields)
    for name, value in headers:
        low = name.lower()
        if low == b"x-request-id":
            client_id = client_id or value
        elif low == b"idempotency-key":
            repeatable = True
    safe = client_id and _SAFE_ID.fullmatch(client_id)
    return RequestInfo(
        method=method,
        target=head.target,
        headers=headers,
        api=api,
        streams=fields.get("stream") is True,
        model=model[:_MODEL_CHARS] if isinstance(model, str) else "",
        repeatable=whole and repeatable,
        body_bytes=len(body),
        request_id=client_id.decode("ascii") if safe else os.urandom(16).hex(),
        client=client,
    )


def _is_repeatable(api: Api, fields: Mapping[str, object]) -> bool:
    """Return whether a request to a model API has no lasting effect on the server."""
    return (
        api.name in _REPEATABLE_APIS
        and bool(fields)
        and not (fields.get("store") or fields.get("background"))
    )


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        value = _decode_utf8_json(body)
        if value is None:
            value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _decode_utf8_json(body: bytes) -> object:
    """Decode JSON in UTF-8 without leading spaces, as nearly all clients send it.

    Return ``None`` for any other body. `json.loads` first detects the encoding and skips spaces,
    which takes 50 % longer.
    """
    try:
        text = body.decode()
        value, end = _decode_json(text)
    except ValueError:
        return None
    # Trailing newlines are common. Accepting them here avoids decoding a large body twice.
    return None if text[end:].strip(_BLANK) else value
