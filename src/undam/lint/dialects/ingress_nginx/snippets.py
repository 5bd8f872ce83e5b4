"""Lines of nginx in an annotation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry

_DIRECTIVE = re.compile(
    r"(?:(?<=[\s;{\"'|>]))(?P<name>[a-z_]+)[ \t]+(?P<args>[^;{}\n#]+);[ \t]*", re.MULTILINE
)


@dataclass(frozen=True)
class Line:
    """A directive in a snippet, with its place in the file: up to its `;`."""

    name: str
    args: tuple[str, ...]
    start: int
    end: int


def snippet_lines(source: Source, entry: Entry) -> Iterator[Line]:
    """The simple directives of a snippet; those in comments are none."""
    node = entry.value
    for found in _DIRECTIVE.finditer(source.text, node.start, node.end):
        first, _ = source.line_span(found.start("name"))
        if "#" not in source.text[max(first, node.start) : found.start("name")]:
            args = tuple(arg.strip("\"'") for arg in found["args"].split())
            yield Line(found["name"], args, found.start("name"), found.end("args") + 1)


def remove_line(source: Source, entry: Entry, line: Line) -> Edit | None:
    """The snippet without a line of it; without the whole annotation where that was all."""
    node = entry.value
    if node.aliased or node.has_properties:
        return None
    if node.text.split() == source.text[line.start : line.end].split():
        first, _ = source.line_span(entry.key.start)
        _, last = source.line_span(max(node.start, node.end - 1))
        stands_alone = not source.text[first : entry.key.start].strip()
        return Edit(first, last, "") if stands_alone else None
    first, last = source.line_span(line.start)
    alone = not (source.text[first : line.start] + source.text[line.end : last]).strip()
    return Edit(first, last, "") if alone and node.form == "block" else None
