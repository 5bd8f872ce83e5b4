"""Accessors for the fields of an Envoy configuration in a YAML or JSON tree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node, walk

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


def camel(name: str) -> str:
    """Return the JSON spelling of a protobuf field name, such as ``streamIdleTimeout``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def field(node: Node | None, *path: str) -> Node | None:
    """Return the value at a path of fields, each spelled in snake_case or camelCase."""
    for name in path:
        node = node.get(name, camel(name)) if node else None
    return node


def field_entry(node: Node | None, name: str) -> Entry | None:
    """Return the entry for a field, which may be spelled in snake_case or camelCase."""
    return node.entry(name, camel(name)) if node else None


def type_of(node: Node | None) -> str:
    """Return the message type in ``@type`` without its URL prefix; empty if there is none."""
    kind = node.get("@type") if node else None
    return kind.text.rpartition("/")[2] if kind else ""


def seconds_of(node: Node) -> float | None:
    """Parse a protobuf duration, ``15s`` or ``{seconds: 15}``; ``None`` if it is invalid."""
    if node.kind == "map":
        whole = node.get("seconds")
        return float(whole.text) if whole and _SECONDS.fullmatch(whole.text) else None
    match = _DURATION.fullmatch(node.text)
    return float(match[1]) if match else None


def unread_parts(root: Node, source: Source) -> Iterator[UnreadPart]:
    """Yield the references to routes, listeners and clusters that Envoy fetches at run time."""
    for node in walk(root):
        for entry in node.entries:
            if entry.key.text in {"rds", "scoped_routes", "scopedRoutes"}:
                what = "the routes of this connection manager come from elsewhere"
            elif entry.key.text in {"dynamic_resources", "dynamicResources"}:
                what = "dynamic resources come from elsewhere"
            else:
                continue
            yield UnreadPart(source.path, source.position(entry.key.start)[0], what)
