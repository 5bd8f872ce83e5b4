"""Which events are heartbeats in disguise: a comment is the right form, and servers send others."""

from __future__ import annotations

import json

from undam.sse import Event

NAMES = frozenset({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
"""Names that servers give such events; also what they put into their data, bare or as a type."""

_NOTHING = frozenset({"", "null", "{}", "[]"})
# A heartbeat is short; a longer event is not looked into.
_LONGEST = 200


def is_heartbeat(event: Event) -> bool:
    """Whether an event of a model's stream carries nothing and only keeps the path open.

    True for an event named like one, whatever its data, and for data that is empty, an empty JSON
    value, one of the names, or a JSON object whose ``type`` is one of them.
    """
    if event.event in NAMES:
        return True
    if len(event.data) > _LONGEST:
        return False
    data = event.data.strip(" \t\n")  # not of U+2028, which is a character like any other
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
