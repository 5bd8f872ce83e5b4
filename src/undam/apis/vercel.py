"""Vercel AI SDK: the UI message stream (version 5) and the data stream (version 4)."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import Kind, Meaning, content_or_empty, load, mapping, text, text_in

_TYPES = {
    "start", "start-step", "text-start", "text-delta", "text-end", "reasoning-start",
    "reasoning-delta", "reasoning-end", "tool-input-start", "tool-input-delta",
    "tool-input-available", "tool-input-error", "tool-output-available", "tool-output-error",
    "source-url", "source-document", "file", "finish-step", "finish", "abort", "message-metadata",
}  # fmt: skip
# "start" and "finish" occur in many protocols, so they alone do not identify this one.
_AMBIGUOUS = {"start", "finish", "file", "abort"}


def is_ui_message(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether an event belongs to the UI message stream."""
    kind = text(payload.get("type"))
    if kind in {"start", "step-start"}:  # The second is that of version 4.
        return "messageId" in payload
    return kind in _TYPES - _AMBIGUOUS or kind.startswith("data-")


def read_ui_message(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one event of the UI message stream."""
    kind = text(payload.get("type"))
    if kind == "error":
        return Meaning(Kind.ERROR, text(payload.get("errorText")) or kind, payload=payload)
    if kind in {"finish", "abort"}:
        return Meaning(Kind.FINISH, ends=True, payload=payload)
    if kind in {"text-delta", "reasoning-delta", "reasoning"}:
        return content_or_empty(_text_in_part(payload, _TEXT_KEYS), payload)
    if kind in {"tool-input-delta", "tool-call-delta"}:
        tool = _text_in_part(payload, _TOOL_KEYS)
        return content_or_empty(tool, payload, tool=tool)
    if kind == "tool-input-available":
        tool = text_in(payload.get("input"))
        return content_or_empty(tool, payload, tool=tool)
    if payload.get("transient") is True:  # A status for the user, not a part of the answer.
        return Meaning(Kind.EMPTY, payload=payload)
    if kind == "file" or kind.startswith("data-"):
        return content_or_empty(text_in(payload.get("url") or payload.get("data")), payload)
    return Meaning(Kind.EMPTY, payload=payload)


# Applications also send the parts of the SDK's own ``fullStream``, whose keys depend on the
# version, and Mastra nests these parts in ``payload``.
_TEXT_KEYS = ("delta", "textDelta", "text")
_TOOL_KEYS = ("inputTextDelta", "delta", "argsTextDelta", "inputDelta")


def _text_in_part(payload: Mapping[str, object], keys: tuple[str, ...]) -> str:
    parts = (payload, mapping(payload.get("payload")))
    return next((found for part in parts for key in keys if (found := text(part.get(key)))), "")


_TEXT_CODES = {"0", "g", "h"}
_TOOL_CODES = {"9", "b", "c"}
DATA_STREAM_CODES = frozenset("0123456789abcdefghijk")


def read_data_stream(code: str, data: str) -> Meaning:
    """Read one line of the data stream: a code and a JSON value."""
    try:
        value = load(data)
    except ValueError:
        return Meaning(Kind.MALFORMED, data[:200])
    if code == "3":
        return Meaning(Kind.ERROR, text(value) or "error", payload=value)
    if code == "d":
        return Meaning(Kind.FINISH, ends=True, payload=value)
    if code in _TEXT_CODES:
        return content_or_empty(text(value), value)
    if code in _TOOL_CODES:
        tool = text_in(mapping(value).get("argsTextDelta") or mapping(value).get("args"))
        return content_or_empty(tool, value, tool=tool)
    return Meaning(Kind.EMPTY, payload=value)
