"""JSON-RPC streams: MCP Streamable HTTP and A2A."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import Kind, Meaning, content_or_empty, mapping, text, text_in

_FINAL_STATES = {"completed", "failed", "canceled", "rejected"}


def is_jsonrpc(_event: str, payload: Mapping[str, object]) -> bool:
    """Return whether a payload is a JSON-RPC 2.0 message."""
    return payload.get("jsonrpc") == "2.0"


def read_jsonrpc(_event: str, payload: Mapping[str, object]) -> Meaning:
    """Read one JSON-RPC message: a notification, a response or an error.

    An MCP stream consists of notifications, so they count as content. A ping request is a
    heartbeat.
    """
    if "error" in payload:
        error = mapping(payload.get("error"))
        return Meaning(Kind.ERROR, text(error.get("message")) or "error", payload=payload)
    method = text(payload.get("method"))
    if method == "ping":
        return Meaning(Kind.HEARTBEAT, payload=payload)
    if method:
        return Meaning(Kind.CONTENT, text_in(payload.get("params")) or method, payload=payload)
    if "result" not in payload:
        return Meaning(Kind.EMPTY, payload=payload)
    result = mapping(payload.get("result"))
    if is_a2a_result(result):
        return _read_a2a(result, payload)
    return Meaning(Kind.CONTENT, text_in(result) or "result", ends=True, payload=payload)


def is_a2a_result(result: Mapping[str, object]) -> bool:
    """Return whether a result is an event from A2A's message/stream method."""
    kinds = {"status-update", "artifact-update", "task", "message"}
    wrapped = {"statusUpdate", "artifactUpdate", "task", "message"}
    return text(result.get("kind")) in kinds or bool(result.keys() & wrapped)


def _read_a2a(result: Mapping[str, object], payload: Mapping[str, object]) -> Meaning:
    body = next((mapping(result[key]) for key in _WRAPPED if key in result), result)
    status = mapping(body.get("status"))
    ends = body.get("final") is True or _state(status) in _FINAL_STATES
    parts = mapping(body.get("artifact")).get("parts") or body.get("parts")
    content = text_in(parts) + text_in(mapping(status.get("message")).get("parts"))
    kind = text(result.get("kind"))
    if kind == "message" or "message" in result:
        ends = True
    return content_or_empty(content, payload, ends=ends)


_WRAPPED = ("statusUpdate", "artifactUpdate", "task", "message")


def _state(status: Mapping[str, object]) -> str:
    return text(status.get("state")).lower().removeprefix("task_state_")
