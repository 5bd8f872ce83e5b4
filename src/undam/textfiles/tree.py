"""Tree for a YAML, JSON or TOML text. Each node has its position in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

NodeKind = Literal["scalar", "map", "list"]
NodeForm = Literal["block", "flow", "table", "inline", "implicit"]
"""Syntax of a node: `block` and `flow` in YAML, `table` and `inline` in TOML. An `implicit` map has
no line that opens it; keys such as ``a.b.c`` create it."""


@dataclass(slots=True, eq=False)
class Node:
    """One value. Nodes are compared by identity, so all aliases of a value are the same node.

    Args:
        start, end: offsets in the text. A block map or list ends where its last value ends.
        text: value of a scalar, without its quotes.
        quoted: the scalar is written in quotes.
        form: the syntax in which the value is written.
        has_properties: the node has an anchor or a tag (YAML calls these node properties), so
            ``start`` is before the value itself.
        aliased: an alias refers to the node, so an edit would also change other parts of the text.
    """

    kind: NodeKind
    start: int
    end: int
    text: str = ""
    quoted: bool = False
    form: NodeForm = "block"
    has_properties: bool = False
    aliased: bool = False
    entries: list[Entry] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    def entry(self, *names: str, ignore_case: bool = False) -> Entry | None:
        """Return the last entry whose key is one of ``names``; ``None`` if there is none.

        Args:
            ignore_case: compare keys without regard to case; ``names`` must be lower case.
        """
        for entry in reversed(self.entries):
            if (entry.key.text.lower() if ignore_case else entry.key.text) in names:
                return entry
        return None

    def get(self, *names: str, ignore_case: bool = False) -> Node | None:
        """Return the value of the last entry whose key is one of ``names``; see ``entry``."""
        entry = self.entry(*names, ignore_case=ignore_case)
        return entry.value if entry else None

    def children(self) -> Iterator[Node]:
        """Yield the values that are direct children of this node."""
        yield from (entry.value for entry in self.entries)
        yield from self.items


@dataclass(slots=True, eq=False)
class Entry:
    """Key in a map, with its value."""

    key: Node
    value: Node


def walk(root: Node) -> Iterator[Node]:
    """Yield all nodes of a tree in document order. A node with aliases is yielded only once."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        pending.extend(reversed(list(node.children())))


def items_of(node: Node | None) -> Iterator[Node]:
    """Yield the distinct items of a list; yield nothing if the node is not a list."""
    seen: set[int] = set()
    for item in node.items if node else ():
        if id(item) not in seen:
            seen.add(id(item))
            yield item
