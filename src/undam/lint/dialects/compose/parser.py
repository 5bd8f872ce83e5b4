"""Parser for compose services and their labels, and for the trees that the labels describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.textfiles.source import Source
from undam.textfiles.tokens import Word
from undam.textfiles.tree import Entry, Node

# Traefik labels and options whose value is a list, in lower case.
_LISTS = frozenset({
    "middlewares", "entrypoints", "excludedcontenttypes", "includedcontenttypes", "encodings",
})  # fmt: skip
_MAX_PARTS = 20
_PART = re.compile(r"[^,\s](?:[^,]*[^,\s])?")


@dataclass(frozen=True, slots=True)
class ComposeSetting:
    """A label, environment variable or option of a service: a key with a value.

    Args:
        start: offset of the line's own text: the dash of a list item, or the key of a map.
        key: the key with its position.
        value: the value with its position.
        is_exact: the positions are those of the characters, because nothing is escaped.
    """

    start: int
    key: Word
    value: Word
    is_exact: bool


@dataclass(frozen=True, slots=True)
class ComposeService:
    """A service in a compose file."""

    name: str
    node: Node

    def text(self, name: str) -> str:
        """Return the text of a scalar setting; empty if it is not set."""
        found = self.node.get(name)
        return found.text if found is not None and found.kind == "scalar" else ""

    def settings(self, source: Source, name: str) -> list[ComposeSetting]:
        """Return the entries in `labels` or `environment`, which may be a list or a map."""
        found = self.node.get(name)
        if found is None:
            return []
        if found.kind == "map":
            return [_of_entry(entry) for entry in found.entries if entry.value.kind == "scalar"]
        return [
            one
            for item in found.items
            if item.kind == "scalar" and (one := _of_item(source, item)) is not None
        ]

    def labels(self, source: Source) -> list[ComposeSetting]:
        """Return the labels of the containers and, for a swarm, those of the service itself."""
        deploy = self.node.get("deploy")
        more = ComposeService(self.name, deploy).labels(source) if deploy is not None else []
        return [*self.settings(source, "labels"), *more]

    def options(self, source: Source) -> list[ComposeSetting]:
        """Return the command-line options in the form ``--key=value``."""
        command = self.node.get("command")
        items = command.items if command is not None and command.kind == "list" else ()
        found = (_of_item(source, item) for item in items if item.kind == "scalar")
        return [one for one in found if one is not None and one.key.text.startswith("--")]


def services_of(root: Node | None) -> list[ComposeService]:
    """Return the services in a compose file."""
    table = root.get("services") if root is not None else None
    entries = table.entries if table is not None else ()
    return [ComposeService(one.key.text, one.value) for one in entries if one.value.kind == "map"]


def _of_entry(entry: Entry) -> ComposeSetting:
    key, value = entry.key, entry.value
    key_start, value_start = key.start + key.quoted, value.start + value.quoted
    exact = (
        value.form == "flow"
        and not (value.aliased or value.has_properties)
        and value.end - value.start == len(value.text) + 2 * value.quoted
        and key.end - key.start == len(key.text) + 2 * key.quoted
    )
    return ComposeSetting(
        key.start,
        Word(key.text, key_start, key_start + len(key.text)),
        Word(value.text.replace("$$", "$"), value_start, value.end - value.quoted),
        exact and "$$" not in value.text,
    )


def _of_item(source: Source, item: Node) -> ComposeSetting | None:
    key, equals, value = item.text.partition("=")
    start = item.start + item.quoted
    exact = source.text[start : start + len(item.text)] == item.text and not item.aliased
    first, _ = source.line_span(item.start)
    before = source.text[first : item.start]
    at = first + len(before) - len(before.lstrip()) if before.strip() == "-" else item.start
    end = start + len(key)
    if not equals and not key.startswith("--"):
        return None
    at_value = end + len(equals)
    return ComposeSetting(
        at,
        Word(key, start, end),
        Word(value.replace("$$", "$"), at_value, at_value + len(value)),
        exact and "$$" not in value,
    )


def add_setting(root: Node, path: Iterable[Word], setting: ComposeSetting) -> None:
    """Insert a setting into a tree at a path of keys. Each key has its position in the source."""
    node = root
    parts = list(path)[:_MAX_PARTS]
    for part in parts[:-1]:
        entry = node.entry(part.text.lower(), ignore_case=True)
        if entry is None or entry.value.kind != "map":
            inner = Node("map", part.start, part.end, form="implicit", aliased=True)
            if entry is not None:
                node.entries.remove(entry)
            entry = Entry(_key(part), inner)
            node.entries.append(entry)
        node = entry.value
    last = parts[-1]
    if node.entry(last.text.lower(), ignore_case=True) is None:
        start = setting.start if last.text.lower() in _LISTS else last.start
        key = Node("scalar", start, last.end, last.text)
        node.entries.append(Entry(key, _leaf(last.text, setting)))


def _leaf(name: str, setting: ComposeSetting) -> Node:
    value = setting.value
    if name.lower() not in _LISTS:
        text = value.text or "true"
        aliased = not (setting.is_exact and value.text)
        return Node("scalar", value.start, value.end, text, form="flow", aliased=aliased)
    items = [
        Node(
            "scalar",
            value.start + found.start(),
            value.start + found.end(),
            found[0].removesuffix("@docker"),
            form="flow",
        )
        for found in _PART.finditer(value.text)
    ]
    return Node(
        "list", value.start, value.end, form="flow", items=items, aliased=not setting.is_exact
    )


def _key(part: Word) -> Node:
    return Node("scalar", part.start, part.end, part.text)


def split_key(word: Word, separator: str, start: int) -> Iterator[Word]:
    """Yield the parts of a dotted key from an offset onwards, with their positions."""
    at = word.start + start
    for text in word.text[start:].split(separator):
        yield Word(text, at, at + len(text))
        at += len(text) + len(separator)
