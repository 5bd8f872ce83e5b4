"""Parser that converts TOML to a tree with positions.

tomllib validates the text first, so this reader only has to locate each part.
"""

from __future__ import annotations

import re
import tomllib

from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node

# Real files have far fewer levels; the limit bounds the depth of recursion.
_MAX_DEPTH = 50
_ERROR_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]*[^,\]}#\r\n \t]")


def read_toml(source: Source) -> Node:
    """Parse a TOML text into a tree.

    Raises:
        ConfigSyntaxError: the text is not TOML, or it is nested too deeply.
    """
    try:
        tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        found = _ERROR_POSITION.search(str(error))
        at = _offset(source, int(found[1]), int(found[2])) if found else len(source.text)
        raise source.error(f"not TOML: {str(error).partition(' (at ')[0]}", at) from None
    except RecursionError:
        raise source.error("nested too deeply", 0) from None
    return _TomlReader(source).read()


def _offset(source: Source, line: int, column: int) -> int:
    # tomllib converts CR LF to LF before it counts lines and columns.
    lines = source.text.split("\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column - 1


class _TomlReader:
    """Recursive-descent parser for a text that is known to be valid TOML."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._at = 0
        # Values by table and key, so that a lookup does not have to search the table.
        self._values: dict[tuple[int, str], Node] = {}

    def read(self) -> Node:
        root = Node("map", 0, len(self._text), form="implicit")
        table = root
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header(root)
            else:
                self._pair(table)
            self._skip(_SPACE)
        return root

    def _header(self, root: Node) -> Node:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        keys = self._keys()
        self._at += 2 if is_array else 1
        parent = self._descend(root, keys[:-1])
        node = Node("map", start, self._at, form="table")
        existing = self._values.get((id(parent), keys[-1].text))
        if is_array:
            if existing is None:
                existing = Node("list", start, self._at, form="table")
                self._add(parent, keys[-1], existing)
            existing.items.append(node)
            return node
        if existing is None:
            self._add(parent, keys[-1], node)
            return node
        existing.start, existing.end, existing.form = start, self._at, "table"
        return existing

    def _pair(self, table: Node) -> None:
        keys = self._keys()
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        value = self._value(0)
        self._add(self._descend(table, keys[:-1]), keys[-1], value)
        if table.form == "table":
            table.end = value.end

    def _keys(self) -> list[Node]:
        keys = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> Node:
        if self._text[self._at] in "\"'":
            return self._string()
        return self._bare(_BARE_KEY)

    def _value(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise self._source.error(f"nested more than {_MAX_DEPTH} levels deep", self._at)
        first = self._text[self._at]
        if first in "\"'":
            return self._string()
        if first == "[":
            return self._array(depth)
        if first == "{":
            return self._inline(depth)
        return self._bare(_BARE_VALUE)

    def _array(self, depth: int) -> Node:
        node = Node("list", self._at, self._at, form="flow")
        self._at += 1
        self._skip(_SPACE)
        while self._text[self._at] != "]":
            node.items.append(self._value(depth + 1))
            self._skip(_SPACE)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_SPACE)
        return self._closed(node)

    def _inline(self, depth: int) -> Node:
        node = Node("map", self._at, self._at, form="inline")
        self._at += 1
        self._skip(_SPACE)
        while self._text[self._at] != "}":
            keys = self._keys()
            self._at += 1
            self._skip(_BLANK)
            value = self._value(depth + 1)
            self._add(self._descend(node, keys[:-1]), keys[-1], value)
            self._skip(_SPACE)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_SPACE)
        return self._closed(node)

    def _closed(self, node: Node) -> Node:
        self._at += 1
        node.end = self._at
        return node

    def _string(self) -> Node:
        found = self._match(_STRING)
        text = tomllib.loads(f"x = {found}")["x"]
        start = self._at - len(found)
        form = "block" if found[:3] in {'"""', "'''"} else "flow"
        return Node("scalar", start, self._at, text, quoted=True, form=form)  # type: ignore[arg-type]

    def _bare(self, pattern: re.Pattern[str]) -> Node:
        found = self._match(pattern)
        return Node("scalar", self._at - len(found), self._at, found, form="flow")

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._source.error("this part of the TOML text cannot be read", self._at)
        self._at = found.end()
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._match(pattern)

    def _add(self, node: Node, key: Node, value: Node) -> None:
        node.entries.append(Entry(key, value))
        self._values[id(node), key.text] = value

    def _descend(self, node: Node, keys: list[Node]) -> Node:
        """Return the map at a path of keys; it is created if necessary.

        The key of an array of tables refers to the last table of the array.
        """
        for key in keys:
            below = self._values.get((id(node), key.text))
            if below is None:
                below = Node("map", key.start, key.end, form="implicit")
                self._add(node, key, below)
            node = below.items[-1] if below.kind == "list" else below
        return node
