"""Cohere's chat stream, API versions 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import Kind, Meaning, content_or_empty, count, mapping, text, text_in

_TYPES = {
    "message-start", "content-start", "content-delta", "content-end", "tool-plan-delta",
    "tool-call-start", "tool-call-delta", "tool-call-end", "citation-start", "citation-end",
    "message-end",
}  # fmt: skip


# Other protocols use the key "event_type" for names of their own.
_TYPES_1 = {
    "stream-start", "search-queries-generation", "search-results", "text-generation",
    "citation-generation", "tool-calls-chunk", "tool-calls-generation", "debug", "stream-end",
}  # fmt: skip


def is_cohere(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether an event belongs to Cohere's chat stream."""
    kind = text(payload.get("type"))
    if kind == "tool-call-delta" and not mapping(payload.get("delta")):
        return False  # The AI SDK 4 has a type with this name as well.
    return kind in _TYPES or _is_version_1(payload)


def _is_version_1(payload: Mapping[str, object]) -> bool:
    return text(payload.get("event_type")) in _TYPES_1


def read_cohere(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one event from Cohere's chat stream."""
    if _is_version_1(payload):
        return _read_version_1(payload)
    kind = text(payload.get("type"))
    delta = mapping(payload.get("delta"))
    if kind == "message-end":
        tokens = count(mapping(mapping(delta.get("usage")).get("tokens")).get("output_tokens"))
        return Meaning(Kind.FINISH, ends=True, tokens=tokens, payload=payload)
    if not kind.endswith("-delta") and kind != "tool-call-start":
        return Meaning(Kind.EMPTY, payload=payload)
    message = mapping(delta.get("message"))
    tool = text_in(message.get("tool_calls"))
    content = text_in(message.get("content")) + text(message.get("tool_plan"))
    return content_or_empty(content + tool, payload, tool=tool)


def _read_version_1(payload: Mapping[str, object]) -> Meaning:
    if payload.get("is_finished") is True or payload.get("event_type") == "stream-end":
        return Meaning(Kind.FINISH, ends=True, payload=payload)
    tool = text_in(payload.get("tool_call_delta"))
    return content_or_empty(text(payload.get("text")) + tool, payload, tool=tool)
