"""A stream of an unknown application: every event with data is content."""

from __future__ import annotations

from undam.apis.meaning import Api, Kind, Meaning, error_text, load, mapping
from undam.apis.openai import read_chunk

_ERROR_EVENTS = {"error", "exception"}
_HEARTBEAT_EVENTS = {"ping", "heartbeat", "keepalive", "keep-alive"}


def read_plain(event: str, data: str) -> Meaning:
    """Read one event; JSON in OpenAI's chunk form is read as such, since many servers speak it."""
    if data.strip() == "[DONE]":
        return Meaning(Kind.DONE, ends=True)
    if event in _HEARTBEAT_EVENTS:
        return Meaning(Kind.HEARTBEAT)
    try:
        payload = mapping(load(data)) if data.startswith("{") else {}
    except ValueError:
        payload = {}
    if "choices" in payload:
        return read_chunk(event, data)
    error = error_text(payload)
    if event in _ERROR_EVENTS or error is not None:
        return Meaning(Kind.ERROR, error or data[:300], payload=payload)
    return Meaning(Kind.CONTENT if data else Kind.EMPTY, data, payload=payload)


PLAIN = Api("plain", None, read_plain, announces_end=False)
