"""Amazon Bedrock: ConverseStream events and InvokeModelWithResponseStream chunks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from undam.apis.meaning import (
    Kind,
    Meaning,
    content_or_empty,
    count,
    mapping,
    sequence,
    text,
    text_in,
)

_EVENTS = {
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop",
    "metadata",
}  # fmt: skip


def is_converse(event: str, payload: Mapping[str, object]) -> bool:
    """Return whether an event belongs to ConverseStream, in binary framing or as plain JSON."""
    return (
        (event in _EVENTS and event != "metadata")
        or any(name in payload for name in _EVENTS if name != "metadata")
        or "usage" in mapping(payload.get("metadata"))
    )


def read_converse(event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one ConverseStream event; its type is the event name or a key of the payload."""
    name = event if event in _EVENTS else next((key for key in payload if key in _EVENTS), event)
    body = mapping(payload.get(name)) or payload
    if event.endswith(("Exception", "exception", "error")):
        return Meaning(Kind.ERROR, text(payload.get("message")) or event, payload=payload)
    if name == "messageStop":
        return Meaning(Kind.FINISH, ends=True, payload=payload)
    delta = mapping(body.get("delta"))
    tool = text(mapping(delta.get("toolUse")).get("input"))
    reasoning = text_in(delta.get("reasoningContent"))
    tokens = count(mapping(body.get("usage")).get("outputTokens"))
    return content_or_empty(
        text(delta.get("text")) + reasoning + tool, payload, tool=tool, tokens=tokens
    )


def is_native(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is a chunk in the own format of Llama, Titan or Mistral."""
    llama = "generation" in payload and "stop_reason" in payload
    titan = "outputText" in payload and "completionReason" in payload
    outputs = sequence(payload.get("outputs"))
    return llama or titan or any("stop_reason" in mapping(output) for output in outputs)


def read_native(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one chunk in the own format of Llama, Titan or Mistral."""
    parts = [payload, *map(mapping, sequence(payload.get("outputs")))]
    keys = ("generation", "outputText", "text")
    content = "".join(text(part.get(key)) for part in parts for key in keys)
    reasons = (part.get(key) for part in parts for key in ("stop_reason", "completionReason"))
    tokens = payload.get("generation_token_count", payload.get("totalOutputTextTokenCount"))
    return content_or_empty(content, payload, ends=any(map(text, reasons)), tokens=count(tokens))


def invoke_chunk(event: str, payload: Mapping[str, object]) -> str | None:
    """Return the model's JSON from an InvokeModelWithResponseStream chunk, or ``None``."""
    encoded = payload.get("bytes")
    if event != "chunk" or not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return None
