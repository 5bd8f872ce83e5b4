"""Edits based on a tree: replace a value, insert an entry or an item, remove an item.

New text has the style of the text around it. Every function returns ``None`` if the edit would
affect more than the value, for instance because the node has aliases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from undam.textfiles.edits import Edit, line_ending
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node

Value = str | bool | tuple[str, ...] | Mapping[str, "Value"]
"""A value to insert; strings are quoted if the syntax requires it."""

_PLAIN = re.compile(r"[A-Za-z0-9_/-](?:[\w./-]*[\w/])?\Z", re.ASCII)
_BEFORE_KEY = re.compile(r" *(?:- +)*\Z")


def replace_value(source: Source, node: Node | None, text: str) -> Edit | None:
    """Return an edit that replaces a scalar's text and keeps its quotes."""
    if (
        node is None
        or node.kind != "scalar"
        or node.aliased
        or node.has_properties
        or node.start == node.end
    ):
        return None
    if node.form == "block":
        return None
    quote = source.text[node.start] if node.quoted else ""
    return Edit(node.start, node.end, f"{quote}{text}{quote}")


def insert_entry(source: Source, node: Node, key: str, value: Value) -> Edit | None:
    """Return an edit that inserts an entry into a map."""
    if node.kind != "map" or node.aliased or not _writable({key: value}):
        return None
    if node.form in {"flow", "inline"}:
        return _into_flow(source, node, key, value)
    if node.form == "table":
        at = node.start + len(_line_from(source, node.start))
        indent = source.indent_at(node.entries[0].key.start if node.entries else node.start)
        return Edit(at, at, f"{line_ending(source)}{indent}{_key(key)} = {_toml(value)}")
    return _into_block(source, node, key, value) if node.form == "block" else None


def insert_item(source: Source, node: Node, text: str) -> Edit | None:
    """Return an edit that appends an item to a non-empty list."""
    if node.kind != "list" or node.aliased or not node.items:
        return None
    last = node.items[-1]
    if last.kind != "scalar" or last.aliased or last.has_properties or last.form == "block":
        return None
    quote = source.text[last.start] if last.quoted else ""
    item = f"{quote}{text}{quote}" if quote else _yaml(text)
    first, _ = source.line_span(last.start)
    before = source.text[first : last.start]
    if node.form == "flow":
        separator = f",{line_ending(source)}{before}" if not before.strip() else ", "
        return Edit(last.end, last.end, separator + item)
    if before.strip() != "-":
        return None
    at = last.start + len(_line_from(source, last.start))
    return Edit(at, at, f"{line_ending(source)}{before}{item}")


def remove_item(source: Source, entry: Entry, item: Node) -> Edit | None:
    """Return an edit that removes a list item, or the whole entry if it is the only item."""
    items = entry.value.items
    if entry.value.aliased or item not in items:
        return None
    if len(items) == 1:
        return _remove_entry(source, entry)
    index = items.index(item)
    if entry.value.form == "flow":
        if index:
            return Edit(items[index - 1].end, item.end, "")
        return Edit(item.start, items[1].start, "")
    return _remove_lines(source, item.start, item.end, before="-")


def _remove_entry(source: Source, entry: Entry) -> Edit | None:
    return _remove_lines(source, entry.key.start, entry.value.end, before="")


def _remove_lines(source: Source, start: int, end: int, *, before: str) -> Edit | None:
    """Return an edit that removes whole lines; ``None`` if other values share these lines."""
    first, _ = source.line_span(start)
    _, last = source.line_span(max(start, end - 1))
    after = source.text[end:last].strip()
    if source.text[first:start].strip() != before or (after and not after.startswith("#")):
        return None
    return Edit(first, last, "")


def _into_flow(source: Source, node: Node, key: str, value: Value) -> Edit | None:
    toml = node.form == "inline"
    own = _own_entries(node)
    if len(own) < len(node.entries):
        return None
    quoted = not toml and bool(own) and own[-1].key.quoted
    name = json.dumps(key) if quoted else _key(key)
    pair = f"{name} = {_toml(value)}" if toml else f"{name}: {_flow(value, quoted=quoted)}"
    if not own:
        at = node.end - 1
        return Edit(at, at, pair) if source.text[node.end - 2 : node.end] == "{}" else None
    last = own[-1]
    before = source.text[source.line_span(last.key.start)[0] : last.key.start]
    separator = f",{line_ending(source)}{before}" if not before.strip() else ", "
    return Edit(last.value.end, last.value.end, separator + pair)


def _into_block(source: Source, node: Node, key: str, value: Value) -> Edit | None:
    """Return an edit that inserts an entry after the first one that fits on one line."""
    for entry in _own_entries(node):
        if entry.value.form == "block" or entry.key.has_properties:
            continue
        first, _ = source.line_span(entry.key.start)
        line = _line_from(source, entry.key.start)
        if entry.value.end <= entry.key.start + len(line) and _BEFORE_KEY.match(
            source.text[first : entry.key.start]
        ):
            at = entry.key.start + len(line)
            indent = " " * (entry.key.start - first)
            lines = _block(key, value, indent)
            return Edit(at, at, "".join(line_ending(source) + one for one in lines))
    return _before_block(source, node, key, value)


def _before_block(source: Source, node: Node, key: str, value: Value) -> Edit | None:
    own = _own_entries(node)
    if not own or own[0].key.has_properties:
        return None
    start = own[0].key.start
    first, _ = source.line_span(start)
    if not _BEFORE_KEY.match(source.text[first:start]):
        return None
    indent = " " * (start - first)
    lines = _block(key, value, indent)
    text = lines[0].lstrip() + "".join(line_ending(source) + one for one in lines[1:])
    return Edit(start, start, text + line_ending(source) + indent)


def _own_entries(node: Node) -> list[Entry]:
    """Return the entries that are written in the map itself, without merged or aliased ones."""
    return [
        one
        for one in node.entries
        if node.start <= one.key.start and one.value.end <= node.end and not one.value.aliased
    ]


def _writable(value: Value) -> bool:
    """Return whether a value is written the same way in JSON, YAML and TOML."""
    if isinstance(value, Mapping):
        return all(map(_writable, value)) and all(map(_writable, value.values()))
    if isinstance(value, tuple):
        return all(map(_writable, value))
    return not isinstance(value, str) or (value.isascii() and value.isprintable())


def _line_from(source: Source, start: int) -> str:
    _, end = source.line_span(start)
    return source.text[start:end].rstrip("\r\n")


def _block(key: str, value: Value, indent: str) -> list[str]:
    if isinstance(value, Mapping):
        lines = [f"{indent}{_key(key)}:"]
        for name, inner in value.items():
            lines += _block(name, inner, indent + "  ")
        return lines
    if isinstance(value, tuple):
        return [f"{indent}{_key(key)}:", *(f"{indent}  - {_yaml(one)}" for one in value)]
    return [f"{indent}{_key(key)}: {_yaml(value)}"]


def _flow(value: Value, *, quoted: bool) -> str:
    if isinstance(value, Mapping):
        pairs = (
            f"{json.dumps(name) if quoted else _key(name)}: {_flow(inner, quoted=quoted)}"
            for name, inner in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_flow(one, quoted=quoted) for one in value) + "]"
    return json.dumps(value) if quoted else _yaml(value)


def _toml(value: Value) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(name)} = {_toml(inner)}" for name, inner in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value)


def _yaml(value: str | bool) -> str:
    if isinstance(value, str) and _PLAIN.match(value):
        return value
    return json.dumps(value)


def _key(key: str) -> str:
    return key if _PLAIN.match(key) else json.dumps(key)
