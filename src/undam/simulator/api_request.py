"""Parser for the JSON body of a model request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from undam.errors import RemoteProtocolError

# The model name is repeated in every event, so it is kept short.
_MAX_MODEL_CHARS = 100

DEFAULT_MODEL = "undam-sim"
"""The model in /v1/models. Requests may use any other name."""

_MAX_TOKENS_KEYS = ("max_completion_tokens", "max_output_tokens", "max_tokens")

# Rule of thumb for English text; used only for the usage counts.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """Parameters of a model request.

    Args:
        stream: ``None`` if the request does not contain the field.
    """

    stream: bool | None = None
    model: str = DEFAULT_MODEL
    max_tokens: int | None = None
    include_usage: bool = False
    prompt_tokens: int = 1


def parse_api_request(body: bytes) -> ApiRequest:
    """Parse a request body.

    Raises:
        RemoteProtocolError: the body is not a JSON object, or a value has the wrong type.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("the request body is not JSON") from None
    if not isinstance(fields, Mapping):
        raise RemoteProtocolError("the request body is not a JSON object")
    stream = fields.get("stream")
    if not (stream is None or isinstance(stream, bool)):
        raise RemoteProtocolError("'stream' must be true or false")
    model = fields.get("model", DEFAULT_MODEL)
    if not isinstance(model, str):
        raise RemoteProtocolError("'model' must be a string")
    options = fields.get("stream_options")
    return ApiRequest(
        stream=stream,
        model=model[:_MAX_MODEL_CHARS],
        max_tokens=_max_tokens(fields),
        include_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
        prompt_tokens=max(1, len(body) // _BYTES_PER_TOKEN),
    )


def _max_tokens(fields: Mapping[str, object]) -> int | None:
    for key in _MAX_TOKENS_KEYS:
        value = fields.get(key)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise RemoteProtocolError(f"'{key}' must be a positive whole number")
        return value
    return None
