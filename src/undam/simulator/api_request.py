"""What a request's JSON body asks of the model. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from undam.errors import RemoteProtocolError

# Echoed into every event, so it is kept short.
_MAX_MODEL_CHARS = 100

DEFAULT_MODEL = "undam-sim"
"""The model that /v1/models lists; any other name is answered, too."""

_MAX_TOKENS_KEYS = ("max_completion_tokens", "max_output_tokens", "max_tokens")

# A rule of thumb for English; only the usage figures depend on it.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What a request asks of the model.

    Args:
        stream: ``None`` where the request does not say.
    """

    stream: bool | None = None
    model: str = DEFAULT_MODEL
    max_tokens: int | None = None
    include_usage: bool = False
    prompt_tokens: int = 1


def parse_api_request(body: bytes) -> ApiRequest:
    """Read a body that must be a JSON object.

    Raises:
        RemoteProtocolError: no JSON, no object, or a value of the wrong type.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("the request body is not JSON") from None
    if not isinstance(said, Mapping):
        raise RemoteProtocolError("the request body is not a JSON object")
    stream = said.get("stream")
    if not (stream is None or isinstance(stream, bool)):
        raise RemoteProtocolError("'stream' is true or false")
    model = said.get("model", DEFAULT_MODEL)
    if not isinstance(model, str):
        raise RemoteProtocolError("'model' is a string")
    options = said.get("stream_options")
    return ApiRequest(
        stream=stream,
        model=model[:_MAX_MODEL_CHARS],
        max_tokens=_max_tokens(said),
        include_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
        prompt_tokens=max(1, len(body) // _BYTES_PER_TOKEN),
    )


def _max_tokens(said: Mapping[str, object]) -> int | None:
    for key in _MAX_TOKENS_KEYS:
        value = said.get(key)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise RemoteProtocolError(f"'{key}' is a whole number from 1")
        return value
    return None
