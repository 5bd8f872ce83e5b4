"""Parsers that turn Terraform, OpenTofu and web.config files into trees with positions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from undam.errors import MissingExtra
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node

if TYPE_CHECKING:
    from lark import Tree

# This limit bounds the recursion. Real resources have fewer than ten levels.
_MAX_DEPTH = 60
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


def read_terraform(source: Source) -> Node:
    """Parse a Terraform file into a tree. The key of a block consists of its type and labels.

    A value that is not a literal is kept as the text of its expression and is never edited.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
        MissingExtra: python-hcl2 is not installed.
    """
    try:
        import hcl2  # noqa: PLC0415 (an optional dependency)
        from lark.exceptions import LarkError  # noqa: PLC0415 (a dependency of it)
    except ImportError:
        raise MissingExtra("install undam[terraform] to read Terraform") from None
    try:
        tree = hcl2.parses_to_tree(source.text)
    except LarkError as error:
        at = getattr(error, "pos_in_stream", None)
        message = "cannot be parsed as Terraform"
        raise source.error(message, at if isinstance(at, int) and at >= 0 else 0) from None
    return _HclTree(source).body(tree.children[0], 0)


class _HclTree:
    """Converter for the syntax tree of python-hcl2."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def body(self, tree: Tree[Any], depth: int) -> Node:
        start, end = self._span(tree)
        node = Node("map", start, end, form="table")
        if depth > _MAX_DEPTH:
            return node
        for child in tree.children:
            kind = getattr(child, "data", None)
            if kind == "attribute":
                node.entries.append(self._attribute(child, depth))
            elif kind == "block":
                node.entries.append(self._block(child, depth))
        return node

    def _attribute(self, tree: Tree[Any], depth: int) -> Entry:
        name, value = tree.children[0], tree.children[-1]
        return Entry(self._key(name), self._value(value, depth + 1))

    def _block(self, tree: Tree[Any], depth: int) -> Entry:
        labels = [
            child
            for child in tree.children
            if getattr(child, "data", "") in {"identifier", "string"}
        ]
        body = next(child for child in tree.children if getattr(child, "data", "") == "body")
        start, end = self._span(tree)
        node = self.body(body, depth + 1)
        node.start, node.end = start, end
        first, last = self._span(labels[0])[0], self._span(labels[-1])[1]
        text = " ".join(self._text(label) for label in labels)
        return Entry(Node("scalar", first, last, text), node)

    def _key(self, tree: Tree[Any]) -> Node:
        start, end = self._span(tree)
        return Node("scalar", start, end, self._text(tree))

    def _value(self, tree: Tree[Any], depth: int) -> Node:
        start, end = self._span(tree)
        inner = tree.children[0] if len(tree.children) == 1 else None
        kind = getattr(inner, "data", "")
        if inner is not None and kind == "object" and depth <= _MAX_DEPTH:
            return self._object(inner, depth)
        if inner is not None and kind == "tuple" and depth <= _MAX_DEPTH:
            items = [
                self._value(child, depth + 1)
                for child in inner.children
                if getattr(child, "data", "") == "expr_term"
            ]
            return Node("list", start, end, form="inline", items=items)
        text = self._source.text[start:end]
        quoted = kind == "string"
        is_literal = (quoted and "${" not in text) or kind in {"int_lit", "float_lit"}
        is_literal = is_literal or text in {"true", "false"}
        return Node(
            "scalar",
            start,
            end,
            text[1:-1] if quoted else text,
            quoted=quoted,
            form="inline",
            aliased=not is_literal,
        )

    def _object(self, tree: Tree[Any], depth: int) -> Node:
        start, end = self._span(tree)
        node = Node("map", start, end, form="inline")
        for child in tree.children:
            if getattr(child, "data", "") == "object_elem":
                key, value = child.children[0], child.children[-1]
                node.entries.append(Entry(self._key(key), self._value(value, depth + 1)))
        return node

    def _text(self, tree: Tree[Any]) -> str:
        start, end = self._span(tree)
        return self._source.text[start:end].strip('"')

    def _span(self, tree: Tree[Any]) -> tuple[int, int]:
        start = getattr(tree.meta, "start_pos", 0)
        return start, min(getattr(tree.meta, "end_pos", start), len(self._source.text))


def read_xml(source: Source) -> Node:
    """Parse an XML file into a tree. Each element is a map of its attributes and child elements.

    Raises:
        ConfigSyntaxError: the text is not XML.
    """
    root = Node("map", 0, len(source.text))
    open_nodes = [root]
    # The XML parser counts bytes, so each non-ASCII character is replaced by a single byte.
    text = "".join(one if ord(one) < 128 else "?" for one in source.text)
    parser = expat.ParserCreate("iso-8859-1")

    def start_element(name: str, _attributes: dict[str, str]) -> None:
        start = parser.CurrentByteIndex
        end = text.find(">", start)
        node = Node("map", start, end if end > 0 else len(text))
        for found in _ATTRIBUTE.finditer(source.text, start + len(name) + 1, node.end):
            group = 2 if found[2] is not None else 3
            value = Node("scalar", *found.span(group), found[group], form="flow")
            node.entries.append(Entry(Node("scalar", *found.span(1), found[1]), value))
        if len(open_nodes) <= _MAX_DEPTH:
            key = Node("scalar", start + 1, start + 1 + len(name), name)
            open_nodes[-1].entries.append(Entry(key, node))
        open_nodes.append(node)

    def end_element(_name: str) -> None:
        open_nodes.pop()

    parser.StartElementHandler = start_element
    parser.EndElementHandler = end_element
    try:
        parser.Parse(text.encode("ascii"), True)
    except expat.ExpatError as error:
        raise source.error("cannot be parsed as XML", max(0, parser.ErrorByteIndex)) from error
    return root
