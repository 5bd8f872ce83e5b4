"""Native stream formats of engines: Ollama, Text Generation Inference, llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import (
    Kind,
    Meaning,
    content_or_empty,
    count,
    error_text,
    mapping,
    text,
    text_in,
)


def is_ollama(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is a line from Ollama's /api/chat or /api/generate."""
    return isinstance(payload.get("done"), bool) and ("message" in payload or "response" in payload)


def read_ollama(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one line from an Ollama stream."""
    error = error_text(payload)
    if error is not None:
        return Meaning(Kind.ERROR, error, payload=payload)
    message = mapping(payload.get("message"))
    tool = text_in(message.get("tool_calls"))
    content = "".join(
        text(value)
        for value in (
            message.get("thinking"),
            message.get("content"),
            payload.get("thinking"),
            payload.get("response"),
        )
    )
    ends = payload.get("done") is True
    tokens = count(payload.get("eval_count"))
    return content_or_empty(content + tool, payload, tool=tool, ends=ends, tokens=tokens)


def is_tgi(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is an event from TGI's /generate_stream."""
    return isinstance(payload.get("token"), dict) and "generated_text" in payload


def read_tgi(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one event from a TGI stream; the last event carries the whole text."""
    token = mapping(payload.get("token"))
    content = "" if token.get("special") is True else text(token.get("text"))
    ends = payload.get("generated_text") is not None
    tokens = count(mapping(payload.get("details")).get("generated_tokens"))
    return content_or_empty(content, payload, ends=ends, tokens=tokens)


def is_llamacpp(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is an event from llama.cpp's /completion."""
    return isinstance(payload.get("stop"), bool) and isinstance(payload.get("content"), str)


def read_llamacpp(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one event in llama.cpp's native stream format."""
    ends = payload.get("stop") is True
    tokens = count(payload.get("tokens_predicted")) if ends else None
    return content_or_empty(text(payload.get("content")), payload, ends=ends, tokens=tokens)
