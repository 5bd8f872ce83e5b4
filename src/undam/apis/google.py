"""Gemini's generateContent stream, as Google AI and Vertex AI send it.

Each event or array element is a GenerateContentResponse. Code Assist and some gateways wrap it in
``{"response": …}``.
"""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import (
    Kind,
    Meaning,
    content_or_empty,
    count,
    error_text,
    mapping,
    sequence,
    text,
    text_in,
)


def is_gemini(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is a GenerateContentResponse."""
    inner = _unwrapped(payload)
    return "candidates" in inner or "usageMetadata" in inner or "promptFeedback" in inner


def read_gemini(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one GenerateContentResponse."""
    inner = _unwrapped(payload)
    error = error_text(inner)
    if error is not None:
        return Meaning(Kind.ERROR, error, payload=payload)
    parts: list[str] = []
    tools: list[str] = []
    ends = False
    for candidate in map(mapping, sequence(inner.get("candidates"))):
        ends = ends or bool(text(candidate.get("finishReason")))
        for part in map(mapping, sequence(mapping(candidate.get("content")).get("parts"))):
            call = mapping(part.get("functionCall"))
            if call:
                partial = map(mapping, sequence(call.get("partialArgs")))
                values = [text(one.get("stringValue")) for one in partial]
                tools += [text(call.get("name")), text_in(call.get("args")), *values]
            parts += [text(part.get("text")), text(mapping(part.get("inlineData")).get("data"))]
            parts += [text_in(part.get(key)) for key in ("executableCode", "codeExecutionResult")]
    tokens = count(mapping(inner.get("usageMetadata")).get("candidatesTokenCount"))
    tool = "".join(tools)
    return content_or_empty("".join(parts) + tool, payload, tool=tool, ends=ends, tokens=tokens)


def _unwrapped(payload: Mapping[str, object]) -> Mapping[str, object]:
    inner = mapping(payload.get("response"))
    return inner if "candidates" in inner else payload
