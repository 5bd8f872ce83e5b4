"""Errors as the client's API tells them: a whole answer, or an event inside a stream. No I/O."""

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
    """The JSON body of an error that has a status of its own."""
    return _encode(_payload(api, status, message, kind))


def error_event(api: Api, status: int, message: str, kind: str = SERVER_ERROR) -> bytes:
    """The event that tells of an error where the status was sent long ago."""
    return _event(api, _in_stream(api, status, message, kind))


def upstream_error_event(api: Api, status: int, body: bytes) -> bytes:
    """An upstream's answer with an error ``status``, as an event: its own JSON where that has the
    API's form, else what it said as the message."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    error = said.get("error") if isinstance(said, Mapping) else None
    if isinstance(error, Mapping) and api.name != RESPONSES.name:
        if api.name == MESSAGES.name and said.get("type") != "error":
            said = {"type": "error", "error": error}
        return _event(api, said)
    if isinstance(error, Mapping):
        message = str(error.get("message") or f"the upstream answered {status}")
        return _event(api, _in_stream(api, status, message, str(error.get("code") or SERVER_ERROR)))
    text = " ".join(body.decode("utf-8", "replace").split())[:_MAX_CHARS]
    message = f"the upstream answered {status}" + (f": {text}" if text else "")
    return error_event(api, status, message)


def _payload(api: Api, status: int, message: str, kind: str) -> dict[str, object]:
    if api.name == MESSAGES.name:
        if kind == SERVER_ERROR:
            kind = _ANTHROPIC_KINDS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    # OpenAI's form is also what other clients can read at need.
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _in_stream(api: Api, status: int, message: str, kind: str) -> dict[str, object]:
    if api.name == RESPONSES.name:
        return {"type": "error", "code": kind, "message": message, "param": None}
    return _payload(api, status, message, kind)


def _event(api: Api, payload: object) -> bytes:
    # Chat clients know no named events; every other one tells errors by the name.
    name = b"" if api.name in _OPENAI else b"event: error\n"
    return name + b"data: " + _encode(payload) + b"\n\n"


def _encode(payload: object) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
