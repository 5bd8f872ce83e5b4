"""Accessors for the YAML tree of a LiteLLM proxy configuration."""

from __future__ import annotations

from undam.textfiles.tree import Entry, Node

_WITHOUT = frozenset({"", "null", "none", "~"})


def at(node: Node | None, *names: str) -> Node | None:
    """Return the value at this key path."""
    for name in names:
        node = node.get(name) if node is not None else None
    return node


def entry_at(node: Node | None, *names: str) -> Entry | None:
    """Return the entry at this key path."""
    outer = at(node, *names[:-1])
    return outer.entry(names[-1]) if outer is not None else None


def text_at(node: Node | None, *names: str) -> str:
    """Return the text of a scalar; empty if it is missing."""
    found = at(node, *names)
    return found.text if found is not None and found.kind == "scalar" else ""


def seconds_of(entry: Entry | None) -> float | None:
    """Parse a number of seconds; ``None`` if the value is missing or not a number."""
    text = entry.value.text.strip() if entry is not None and entry.value.kind == "scalar" else ""
    is_number = text.isascii() and text.replace(".", "", 1).isdecimal() and len(text) < 12
    return float(text) if is_number else None


def is_true(entry: Entry | None) -> bool | None:
    """Return the value of a Boolean setting; ``None`` if it is not set."""
    if entry is None or entry.value.text.lower() in _WITHOUT:
        return None
    return entry.value.text.lower() == "true"
