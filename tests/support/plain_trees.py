"""Conversion of configuration trees to plain Python values, for parser tests."""

from __future__ import annotations

from typing import Any

from undam.textfiles.tree import Node, walk


def plain(node: Node | None) -> Any:
    """Return a tree as plain dicts, lists and strings."""
    if node is None:
        return None
    if node.kind == "map":
        return {entry.key.text: plain(entry.value) for entry in node.entries}
    return [plain(item) for item in node.items] if node.kind == "list" else node.text


def spans(text: str, tree: Node) -> dict[str, str]:
    """Return, by key, the source text at the position of each scalar value."""
    return {
        entry.key.text: text[entry.value.start : entry.value.end]
        for node in walk(tree)
        for entry in node.entries
        if entry.value.kind == "scalar"
    }


def as_texts(value: Any, *, lower: bool) -> Any:
    """Return a parsed value with all scalars as strings; ``lower`` makes booleans lower case."""
    if isinstance(value, dict):
        return {key: as_texts(inner, lower=lower) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_texts(inner, lower=lower) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
