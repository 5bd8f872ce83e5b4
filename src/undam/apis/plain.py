"""Streams of unknown applications: an event with data is content, unless its name rules it out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from undam.apis.meaning import Api, Kind, Meaning, error_text, load, mapping, text
from undam.apis.openai import read_chunk_value

_ERROR_NAMES = {"error", "exception"}
HEARTBEAT_NAMES = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive"})
# Names of events without content. Applications send them as event names or as "type" in the
# payload.
_EMPTY_NAMES = {
    "start", "begin", "started", "init", "open", "connected", "ready", "metadata", "session",
    "end", "done", "finish", "finished", "complete", "completed", "close", "stop", "usage",
}  # fmt: skip
_END_NAMES = {"end", "done", "finish", "finished", "complete", "completed"}
# Longer names of start events end in one of these words, as in "conversation.chat.created".
_STARTED = re.compile(r"[._:/-](?:created|queued|started|start|begin|in_progress)\Z")


def read_plain(event: str, data: str) -> Meaning:
    """Read one event from an unknown application."""
    if data.strip() == "[DONE]":
        return Meaning(Kind.DONE, ends=True)
    try:
        payload = mapping(load(data)) if data.startswith("{") else {}
    except ValueError:
        payload = {}
    return read_plain_payload(event, data, payload)


def read_plain_payload(event: str, data: str, payload: Mapping[str, object]) -> Meaning:
    """Read one event; ``payload`` is its parsed data, or empty if the data is not a JSON object."""
    if event in HEARTBEAT_NAMES:
        return Meaning(Kind.HEARTBEAT)
    if "choices" in payload:
        return read_chunk_value(event, payload)
    error = error_text(payload)
    if event in _ERROR_NAMES or error is not None:
        message = error or text(payload.get("message")) or data[:300]
        return Meaning(Kind.ERROR, message, payload=payload)
    names = _names(event, payload)
    if names & HEARTBEAT_NAMES:
        return Meaning(Kind.HEARTBEAT, payload=payload)
    if not data or names & _EMPTY_NAMES or any(map(_STARTED.search, names)):
        return Meaning(Kind.EMPTY, payload=payload)
    return Meaning(Kind.CONTENT, data, payload=payload, name=" ".join(sorted(names)))


def is_end(event: str, payload: Mapping[str, object]) -> bool:
    """Return whether the name of an event from an unknown application means the end."""
    return bool(_names(event, payload) & _END_NAMES)


def _names(event: str, payload: Mapping[str, object]) -> set[str]:
    return {event.lower(), _type_of(payload)}


def _type_of(payload: Mapping[str, object]) -> str:
    return (text(payload.get("type")) or text(payload.get("event"))).lower()


PLAIN = Api("plain", None, read_plain, announces_end=False)
