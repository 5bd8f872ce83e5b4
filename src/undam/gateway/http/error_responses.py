"""Errors in the format of the client's API, as a JSON body or an event. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api

_OPENAI = frozenset({CHAT.name, COMPLETIONS.name})

SERVER_ERROR = "server_error"
_ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_MAX_CHARS = 500


def error_body(api: Api, status: int, message: str, kind: str = SERVER_ERROR) -> bytes:
    """Return the JSON body for an error response with ``status``."""
    return _encode(_payload(api, status, message, kind))


def error_event(api: Api, status: int, message: str, kind: str = SERVER_ERROR) -> bytes:
    """Return the event that reports an error after the response head has been sent."""
    return _event(api, _stream_payload(api, status, message, kind))


def upstream_error_event(api: Api, status: int, body: bytes) -> bytes:
    """Return an upstream's error response as an event.

    If ``body`` is a JSON error of the API, it becomes the data of the event. Otherwise, its text
    becomes the error message.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        payload = None
    error = payload.get("error") if isinstance(payload, Mapping) else None
    if isinstance(error, Mapping) and api.name != RESPONSES.name:
        if api.name == MESSAGES.name and payload.get("type") != "error":
            payload = {"type": "error", "error": error}
        return _event(api, payload)
    if isinstance(error, Mapping):
        message = str(error.get("message") or f"the upstream answered {status}")
        kind = str(error.get("code") or SERVER_ERROR)
        return _event(api, _stream_payload(api, status, message, kind))
    text = " ".join(body.decode("utf-8", "replace").split())[:_MAX_CHARS]
    message = f"the upstream answered {status}" + (f": {text}" if text else "")
    return error_event(api, status, message)


def _payload(api: Api, status: int, message: str, kind: str) -> dict[str, object]:
    if api.name == MESSAGES.name:
        if kind == SERVER_ERROR or status == 413:
            kind = _ANTHROPIC_KINDS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    # Clients of all other APIs support OpenAI's error format.
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _stream_payload(api: Api, status: int, message: str, kind: str) -> dict[str, object]:
    if api.name == RESPONSES.name:
        return {"type": "error", "code": kind, "message": message, "param": None}
    return _payload(api, status, message, kind)


def _event(api: Api, payload: object) -> bytes:
    # Chat clients do not handle named events. Clients of the other APIs identify errors by the
    # event name.
    name = b"" if api.name in _OPENAI else b"event: error\n"
    return name + b"data: " + _encode(payload) + b"\n\n"


def _encode(payload: object) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
