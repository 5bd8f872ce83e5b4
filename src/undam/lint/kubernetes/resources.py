"""Kubernetes resources in YAML or JSON documents, Lists and patches, each with its position."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from undam.errors import ConfigSyntaxError
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.templates import OPAQUE, has_placeholders, template_source
from undam.textfiles.tree import Entry, Node, items_of
from undam.textfiles.yaml_reader import read_yaml

# Lists of Kubernetes objects are rarely nested, so a few levels suffice.
_MAX_NESTED_LISTS = 8
# Rendered Helm charts have at most a few hundred resources.
_MAX_RESOURCES = 5000
_NAMES = (".yaml", ".yml", ".json", ".tpl", "-")
_KIND = re.compile(
    r"(?:^|[{,])[ \t-]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?([A-Z]\w{0,60})", re.MULTILINE
)


def at(node: Node | None, *names: str) -> Node | None:
    """Return the value at this path of keys; ``None`` if there is none."""
    for name in names:
        node = node.get(name) if node else None
    return node


def text_at(node: Node | None, *names: str) -> str:
    """Return the scalar at this path of keys, stripped; empty if there is none."""
    found = at(node, *names)
    return found.text.strip() if found is not None and found.kind == "scalar" else ""


def entry_at(node: Node | None, *names: str) -> Entry | None:
    """Return the entry at this path of keys. A key without a value counts as absent."""
    inner = at(node, *names[:-1])
    entry = inner.entry(names[-1]) if inner else None
    return entry if entry is not None and entry.value.end > entry.value.start else None


def entry_span(source: Source, entry: Entry) -> tuple[int, int]:
    """Return the span of an entry, limited to the line of its key."""
    _, end = source.line_span(entry.key.start)
    line = source.text[entry.key.start : min(end, max(entry.value.end, entry.key.end))]
    return entry.key.start, entry.key.start + len(line.rstrip())


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """An object of the Kubernetes API, as described in a file.

    Args:
        source: the file; a neighbouring file if the resource is only evidence.
        group: API group without the version; empty for the core group.
        name: the name in its metadata, without the prefix of a namespace.
    """

    source: Source
    node: Node
    kind: str
    group: str
    name: str

    @property
    def spec(self) -> Node | None:
        return self.node.get("spec")

    @property
    def annotations(self) -> Node | None:
        return at(self.node, "metadata", "annotations")

    @property
    def anchor(self) -> Node:
        """Node that a diagnostic marks if a setting is missing: the name, or else the kind."""
        return at(self.node, "metadata", "name") or self.node.get("kind") or self.node

    @property
    def span(self) -> tuple[int, int]:
        """Span of the anchor's first line. A value may extend over several lines."""
        start = self.anchor.start
        _, end = self.source.line_span(start)
        return start, start + len(self.source.text[start : min(end, self.anchor.end)].rstrip())

    @property
    def line(self) -> int:
        return self.source.position(self.anchor.start)[0]

    def at(self, offset: int) -> tuple[str, int]:
        """Return the path and line of an offset in the file."""
        return self.source.path, self.source.position(offset)[0]

    def hole(self) -> str | None:
        """Return the first unread template part within the resource.

        A hole after the last value may also belong to the resource, up to the next document.
        """
        limit = self.source.text.find("\n---", self.node.end)
        for start, end in self.source.holes:
            if self.node.start <= start and (limit < 0 or start < limit):
                line, _ = self.source.position(start)
                return f"{self.source.written[start:end]} at line {line}"
        return None

    def annotation(self, key: str) -> Entry | None:
        """Return the entry for an annotation if the annotation's value is a scalar."""
        found = self.annotations.entry(key) if self.annotations else None
        return found if found is not None and found.value.kind == "scalar" else None

    def annotation_text(self, key: str) -> str:
        """Return an annotation's value, stripped; empty if the annotation is not set."""
        found = self.annotation(key)
        return found.value.text.strip() if found is not None else ""


def has_kubernetes_name(path: str) -> bool:
    """Return whether a file with this name can contain resources."""
    return path.lower().endswith(_NAMES)


@lru_cache(maxsize=16)
def kinds_in(text: str) -> frozenset[str]:
    """Return the resource kinds that a text mentions, without parsing the text."""
    return frozenset(_KIND.findall(text)) if "kind" in text else frozenset()


def resources_in(roots: Iterable[Node], source: Source) -> Iterator[Resource]:
    """Yield the resources in the documents, including those in Lists."""
    left = _MAX_RESOURCES
    level = list(roots)
    for _ in range(_MAX_NESTED_LISTS):
        inner: list[Node] = []
        for one in level:
            kind = text_at(one, "kind")
            if kind.endswith("List") and one.get("items") is not None:
                inner += items_of(one.get("items"))
            elif kind and left > 0:
                left -= 1
                group, slash, _ = text_at(one, "apiVersion").partition("/")
                name = text_at(one, "metadata", "name")
                yield Resource(source, one, kind, group if slash else "", name)
        level = inner


def read_resources(source: Source) -> tuple[tuple[Resource, ...], tuple[UnreadPart, ...]]:
    """Return the resources in a file, and the parts that were not read.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    documents = read_yaml(source)
    return tuple(resources_in(documents.roots, source)), documents.unread


@lru_cache(maxsize=256)
def resources_of_neighbour(path: str, text: str) -> tuple[Resource, ...]:
    """Return the resources in a neighbouring file; none if the file cannot be parsed."""
    source = template_source(path, text) if has_placeholders(text) else Source(path, text)
    try:
        return read_resources(source)[0]
    except (ConfigSyntaxError, RecursionError):
        return ()


def is_known(text: str) -> bool:
    """Return whether a value is literal text without a template placeholder."""
    return bool(text) and OPAQUE not in text
