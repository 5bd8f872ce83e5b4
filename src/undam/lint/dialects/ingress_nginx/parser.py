"""Parser for annotations, ConfigMap data and configuration snippets of ingress-nginx."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.kubernetes.resources import at, entry_span
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node, items_of
from undam.textfiles.tree_edit import replace_value

__all__ = [
    "PREFIX",
    "SnippetDirective",
    "StringMap",
    "at",
    "entry_span",
    "objects_of_kind",
    "remove_snippet_directive",
    "snippet_directives",
    "value_diagnostic",
]

PREFIX = "nginx.ingress.kubernetes.io/"

_DIRECTIVE = re.compile(
    r"(?:(?<=[\s;{\"'|>]))(?P<name>[a-z_]+)[ \t]+(?P<args>[^;{}\n#]+);[ \t]*", re.MULTILINE
)
# Maximum nesting of Kubernetes List objects. In practice, they are rarely nested.
_MAX_NESTED_LISTS = 8


def objects_of_kind(roots: Iterable[Node], kind: str) -> Iterator[Node]:
    """Yield the Kubernetes objects of one kind, including objects inside List objects."""
    level = list(roots)
    for _ in range(_MAX_NESTED_LISTS):
        inner: list[Node] = []
        for one in level:
            found = one.get("kind")
            if found is not None and found.text == kind:
                yield one
            elif found is not None and found.text.endswith("List"):
                inner += items_of(one.get("items"))
        level = inner


@dataclass(frozen=True, eq=False)
class StringMap:
    """A map with string values: the annotations of an Ingress or the data of a ConfigMap.

    Args:
        prefix: the prefix of the keys that belong to ingress-nginx.
    """

    node: Node
    prefix: str = ""

    def entry(self, name: str) -> Entry | None:
        """Return the entry for a key if its value is a scalar."""
        found = self.node.entry(self.prefix + name)
        return found if found and found.value.kind == "scalar" else None

    def value(self, name: str) -> str:
        """Return the value for a key without surrounding white space; empty if there is none."""
        found = self.entry(name)
        return found.value.text.strip() if found else ""


def value_diagnostic(
    rule: ConfigRule,
    values: StringMap,
    name: str,
    source: Source,
    *,
    new: str | None,
    severity: Severity | None = None,
    **evidence: object,
) -> Diagnostic:
    """Create a diagnostic at a key and its value.

    Args:
        new: the value to replace it with; ``None`` if there is no fix.
    """
    entry = values.entry(name)
    assert entry is not None
    edit = replace_value(source, entry.value, new) if new is not None else None
    # An unquoted value gets no edit, because another rule must add quotes first.
    edits = [edit] if edit is not None and entry.value.quoted else []
    span = entry_span(source, entry)
    return diagnostic_at(rule, source, span, *edits, severity=severity, **evidence)


@dataclass(frozen=True)
class SnippetDirective:
    """A simple nginx directive in a snippet, up to its `;`."""

    name: str
    args: tuple[str, ...]
    start: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


def snippet_directives(source: Source, entry: Entry) -> Iterator[SnippetDirective]:
    """Yield the simple directives in a snippet; directives in comments are skipped."""
    node = entry.value
    for found in _DIRECTIVE.finditer(source.text, node.start, node.end):
        first, _ = source.line_span(found.start("name"))
        if "#" not in source.text[max(first, node.start) : found.start("name")]:
            args = tuple(arg.strip("\"'") for arg in found["args"].split())
            yield SnippetDirective(found["name"], args, found.start("name"), found.end("args") + 1)


def remove_snippet_directive(
    source: Source, entry: Entry, directive: SnippetDirective
) -> Edit | None:
    """Return the edit that removes a directive, or the entire annotation if nothing else is in it.

    Returns:
        ``None`` if other text on the same line would have to be changed.
    """
    node = entry.value
    if node.aliased or node.has_properties:
        return None
    if node.text.split() == source.text[directive.start : directive.end].split():
        first, _ = source.line_span(entry.key.start)
        _, last = source.line_span(max(node.start, node.end - 1))
        is_alone = not source.text[first : entry.key.start].strip()
        return Edit(first, last, "") if is_alone else None
    first, last = source.line_span(directive.start)
    rest = source.text[first : directive.start] + source.text[directive.end : last]
    return Edit(first, last, "") if not rest.strip() and node.form == "block" else None
