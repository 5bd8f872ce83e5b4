"""The streaming form of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import (
    Api,
    Kind,
    Meaning,
    count,
    error_text,
    mapping,
    read_json,
    text,
    text_in,
)

# The API requires max_tokens. This value is large enough to reveal a buffering hop.
_DEFAULT_MAX_TOKENS = 1024

_DELTA_TEXT = ("text", "thinking", "partial_json", "content", "citation")


def _request(model: str, prompt: str, max_tokens: int | None) -> Mapping[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens or _DEFAULT_MAX_TOKENS,
        "stream": True,
    }


def _read_value(event: str, value: object) -> Meaning:
    payload = mapping(value)
    kind = text(payload.get("type")) or event
    if kind == "ping":
        return Meaning(Kind.HEARTBEAT, payload=payload)
    error = error_text(payload)
    if kind == "error" or error is not None:
        return Meaning(Kind.ERROR, error or kind, payload=payload)
    if kind == "message_stop":
        return Meaning(Kind.FINISH, ends=True, payload=payload)
    delta = mapping(payload.get("delta"))
    content = "".join(text_in(delta.get(key)) for key in _DELTA_TEXT)
    if kind == "content_block_delta" and content:
        tool = text(delta.get("partial_json"))
        return Meaning(Kind.CONTENT, content, payload=payload, tool=tool)
    tokens = count(mapping(payload.get("usage")).get("output_tokens"))
    return Meaning(Kind.EMPTY, tokens=tokens, payload=payload)


read_message = read_json(_read_value)
"""Reader of one event of the messages API."""

MESSAGES = Api(
    "anthropic-messages", _request, read_message, announces_end=True, read_value=_read_value
)
