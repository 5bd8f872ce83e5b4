"""A tree of a YAML, JSON or TOML text that knows where each of its nodes stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["scalar", "map", "list"]
Form = Literal["block", "flow", "table", "inline", "implicit"]


@dataclass(slots=True, eq=False)
class Node:
    """One value. Equal only to itself, so that what an alias repeats is seen to be the same.

    Args:
        start, end: offsets in the text; of a block map or list, up to the end of its last value.
        text: of a scalar, without its quotes.
        quoted: whether a scalar stands in quotes.
        form: how it is written, YAML's two ways and TOML's three; an `implicit` map is one that no
            line of its own opens.
        marked: whether it has an anchor or a tag, so that `start` is not that of the value.
        shared: whether an alias repeats it, so that an edit would change other places, too.
    """

    kind: Kind
    start: int
    end: int
    text: str = ""
    quoted: bool = False
    form: Form = "block"
    marked: bool = False
    shared: bool = False
    entries: list[Entry] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    def entry(self, *names: str, fold: bool = False) -> Entry | None:
        """The last entry with one of these keys; ``None`` where there is none, or no map.

        Args:
            fold: whether the program reads its keys in any case; ``names`` are lower case then.
        """
        for entry in reversed(self.entries):
            if (entry.key.text.lower() if fold else entry.key.text) in names:
                return entry
        return None

    def get(self, *names: str, fold: bool = False) -> Node | None:
        """The value of such an entry."""
        found = self.entry(*names, fold=fold)
        return found.value if found else None

    def children(self) -> Iterator[Node]:
        """The values in it."""
        yield from (entry.value for entry in self.entries)
        yield from self.items


@dataclass(slots=True, eq=False)
class Entry:
    """A key of a map and its value."""

    key: Node
    value: Node


def walk(root: Node) -> Iterator[Node]:
    """Every node once, however many aliases repeat it, from the root on."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        todo.extend(reversed(list(node.children())))


def items_of(node: Node | None) -> Iterator[Node]:
    """The items of a list, each once; nothing of anything else."""
    seen: set[int] = set()
    for item in node.items if node else ():
        if id(item) not in seen:
            seen.add(id(item))
            yield item
