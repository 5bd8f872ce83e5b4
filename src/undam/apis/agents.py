"""Agent protocols: AG-UI, LangServe and LangGraph, Dify."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import (
    Kind,
    Meaning,
    content_or_empty,
    mapping,
    read_json,
    sequence,
    text,
    text_in,
)

_AGUI_PREFIXES = (
    "RUN_", "STEP_", "TEXT_MESSAGE_", "TOOL_CALL_", "THINKING_", "REASONING_", "STATE_",
    "MESSAGES_SNAPSHOT", "ACTIVITY_",
)  # fmt: skip


def is_agui(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether an event belongs to AG-UI."""
    return text(payload.get("type")).startswith(_AGUI_PREFIXES)


def read_agui(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one AG-UI event."""
    kind = text(payload.get("type"))
    if kind == "RUN_FINISHED":
        return Meaning(Kind.FINISH, ends=True, payload=payload)
    if kind == "RUN_ERROR":
        return Meaning(Kind.ERROR, text(payload.get("message")) or kind, payload=payload)
    delta = text(payload.get("delta"))
    tool = delta if kind.startswith("TOOL_CALL_") else ""
    if kind in {"STATE_DELTA", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT"}:
        return Meaning(Kind.EMPTY, payload=payload)
    return content_or_empty(delta, payload, tool=tool)


_LANGCHAIN_EVENTS = {
    "metadata", "messages", "messages/partial", "messages/complete", "messages/metadata", "values",
    "updates", "custom", "debug", "tasks", "checkpoints", "data", "end",
}  # fmt: skip


def is_langchain_event(event: str) -> bool:
    """Return whether an event name is used by LangServe or LangGraph (including subgraphs)."""
    return event.partition("|")[0] in _LANGCHAIN_EVENTS


def is_astream_events(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload comes from LangChain's ``astream_events``."""
    return text(payload.get("event")).startswith("on_") and "run_id" in payload


def read_langchain(event: str, data: str) -> Meaning:
    """Read one LangServe or LangGraph event."""
    return read_json(read_langchain_value)(event, data or "null")


def read_langchain_value(event: str, value: object) -> Meaning:
    """Read one LangServe or LangGraph event from its parsed data."""
    name = event.partition("|")[0]
    if name == "end":
        return Meaning(Kind.FINISH, ends=True, payload=value)
    if name == "error":
        return Meaning(Kind.ERROR, _message(value) or str(value)[:300], payload=value)
    if name in {"metadata", "messages/metadata", "values", "debug", "tasks", "checkpoints"}:
        return Meaning(Kind.EMPTY, payload=value)
    if name.startswith("messages"):
        # The data is either a pair (message chunk, metadata) or a list of messages.
        first = mapping(next(iter(sequence(value)), value))
        tool = text_in(first.get("tool_call_chunks"))
        return content_or_empty(text_in(first.get("content")) + tool, value, tool=tool)
    return content_or_empty(text_in(value), value)


def read_astream_event(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one ``astream_events`` item; only streamed chunks are content."""
    if not text(payload.get("event")).endswith("_stream"):
        return Meaning(Kind.EMPTY, payload=payload)
    chunk = mapping(payload.get("data")).get("chunk")
    message = mapping(mapping(chunk).get("kwargs")) or mapping(chunk)
    if not message:
        return content_or_empty(text_in(chunk), payload)
    tool = text_in(message.get("tool_call_chunks"))
    return content_or_empty(text_in(message.get("content")) + tool, payload, tool=tool)


_DIFY_TEXT = ("answer", "text", "thought")


def is_dify(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is a Dify event."""
    return "task_id" in payload and bool(text(payload.get("event")))


def read_dify(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one event from a Dify chat, agent or workflow stream."""
    kind = text(payload.get("event"))
    if kind == "error":
        return Meaning(Kind.ERROR, text(payload.get("message")) or kind, payload=payload)
    if kind == "ping":
        return Meaning(Kind.HEARTBEAT, payload=payload)
    # A chatflow sends two end events: first "workflow_finished", then "message_end".
    if kind in {"message_end", "workflow_finished"}:
        return Meaning(Kind.FINISH, ends=True, payload=payload)
    data = mapping(payload.get("data"))
    content = "".join(text(payload.get(key)) for key in _DIFY_TEXT)
    if kind == "text_chunk":
        content += text(data.get("text"))
    if kind in {"tts_message", "message_file"}:
        content += text(payload.get("audio")) + text(payload.get("url"))
    return content_or_empty(content, payload)


def _message(value: object) -> str:
    payload = mapping(value)
    return text(payload.get("message")) or text(payload.get("error"))
