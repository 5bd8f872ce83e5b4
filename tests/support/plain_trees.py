"""Conversion of configuration trees to plain values, for tests of the parsers."""

from __future__ import annotations

from typing import Any

from undam.textfiles.tree import Node, walk


def plain(node: Node | None) -> Any:
    """Return a tree as dicts, lists and strings."""
    if node is None:
        return None
    if node.kind == "map":
        return {entry.key.text: plain(entry.value) for entry in node.entries}
    return [plain(item) for item in node.items] if node.kind == "list" else node.text


def spans(text: str, tree: Node) -> dict[str, str]:
    """Return, for each key with a scalar value, the text at the position of the value."""
    return {
        entry.key.text: text[entry.value.start : entry.value.end]
        for node in walk(tree)
        for entry in node.entries
        if entry.value.kind == "scalar"
    }


def as_texts(value: Any, *, lower: bool) -> Any:
    """Return a parsed value with every scalar as a string; booleans in lower case if ``lower``."""
    if isinstance(value, dict):
        return {key: as_texts(inner, lower=lower) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_texts(inner, lower=lower) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
