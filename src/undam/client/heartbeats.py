"""Detection of heartbeats that servers send as events instead of comments."""

from __future__ import annotations

import json

from undam.sse import Event

NAMES = frozenset({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
"""Event names of heartbeats. Some servers send the name as the data, or as its ``type``."""

_NOTHING = frozenset({"", "null", "{}", "[]"})
# Heartbeats are short, so the data of longer events is not inspected.
_MAX_DATA_CHARACTERS = 200


def is_heartbeat(event: Event) -> bool:
    """Return whether an event has no content and only keeps the connection open.

    This is the case if its name is one of `NAMES`, or if its data is empty, an empty JSON value,
    one of the names, or a JSON object whose ``type`` is one of the names.
    """
    if event.event in NAMES:
        return True
    if len(event.data) > _MAX_DATA_CHARACTERS:
        return False
    data = event.data.strip(" \t\n")  # U+2028 is ordinary content and is kept
    if data in _NOTHING or data.strip('"').lower() in NAMES:
        return True
    if not data.startswith("{") or '"type"' not in data:
        return False
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return False
    kind = payload.get("type")
    return isinstance(kind, str) and kind in NAMES
