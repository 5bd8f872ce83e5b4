"""Parser that converts YAML, including its subset JSON, to trees with positions.

Aliases refer to the same node and are never copied, so time and memory stay linear in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml  # type: ignore[import-untyped]

from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node

# Real configuration files have fewer than 40 levels. The limit protects all code that walks a tree
# recursively.
_MAX_DEPTH = 200
# Chained merge keys (`<<`) can multiply the number of entries exponentially.
_MAX_MERGED_ENTRIES = 10_000
# The C parser is 20 times as fast and reports the same positions, but PyYAML may lack it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class YamlDocuments:
    """Parsed YAML documents of one text.

    Args:
        roots: root node of each document, in order.
        unread: duplicate keys of maps. The last one is used, as in most programs.
    """

    roots: tuple[Node, ...]
    unread: tuple[UnreadPart, ...]


def read_yaml(source: Source) -> YamlDocuments:
    """Parse the documents in a text; an empty text contains none.

    Raises:
        ConfigSyntaxError: the text is not YAML, is nested too deeply, or has an alias that is
            unknown or refers to a node that contains it.
    """
    offset = 1 if source.text.startswith(_BOM) else 0
    text = source.text[offset:]
    if text.lstrip()[:1] in {"{", "["}:
        text = text.replace("\t", " ")  # JSON may be indented with tabs, YAML may not
    builder = _TreeBuilder(source, offset)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.receive(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = mark.index + offset if mark else 0
        raise source.error(f"not YAML: {error.problem or error.context}", at) from None
    except yaml.reader.ReaderError as error:
        raise source.error(f"not YAML: {error.reason}", error.position + offset) from None
    except UnicodeEncodeError as error:
        raise source.error(
            "not YAML: it contains half of a surrogate pair", error.start + offset
        ) from None
    return YamlDocuments(tuple(builder.roots), tuple(builder.unread))


@dataclass(slots=True)
class _OpenCollection:
    """A map or list whose end has not been reached yet."""

    node: Node
    anchor: str | None
    end: int
    key: Node | None = None
    keys: set[str] = field(default_factory=set)
    merged: list[Node] = field(default_factory=list)


class _TreeBuilder:
    """Builder that creates trees from YAML parser events.

    Args:
        offset: number of characters before the text that the parser receives.
    """

    def __init__(self, source: Source, offset: int) -> None:
        self.roots: list[Node] = []
        self.unread: list[UnreadPart] = []
        self._source = source
        self._offset = offset
        self._open: list[_OpenCollection] = []
        self._anchors: dict[str, Node | None] = {}
        self._merges_left = _MAX_MERGED_ENTRIES

    def receive(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._finish(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        return Node(
            kind="scalar",
            start=event.start_mark.index + self._offset,
            end=event.end_mark.index + self._offset,
            text=event.value,
            quoted=event.style in {"'", '"'},
            form="block" if event.style in {"|", ">"} else "flow",
            has_properties=event.anchor is not None or event.tag is not None,
        )

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        at = event.start_mark.index + self._offset
        if len(self._open) >= _MAX_DEPTH:
            raise self._source.error(f"nested more than {_MAX_DEPTH} levels deep", at)
        node = Node(
            kind="map" if isinstance(event, yaml.MappingStartEvent) else "list",
            start=at,
            end=event.end_mark.index + self._offset,
            form="flow" if event.flow_style else "block",
            has_properties=event.anchor is not None or event.tag is not None,
        )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_OpenCollection(node, event.anchor, node.end))

    def _finish(self, event: yaml.CollectionEndEvent) -> None:
        done = self._open.pop()
        node = done.node
        flow = node.form == "flow"
        node.end = event.end_mark.index + self._offset if flow else done.end
        self._merge(done)
        self._add(node, done.anchor)

    def _merge(self, done: _OpenCollection) -> None:
        node = done.node
        known = {entry.key.text for entry in node.entries}
        for merged in done.merged:
            fresh = [one for one in merged.entries if one.key.text not in known]
            self._merges_left -= len(merged.entries)
            if self._merges_left < 0:
                raise self._source.error(f"merges more than {_MAX_MERGED_ENTRIES} keys", node.start)
            known |= {one.key.text for one in fresh}
            node.entries[:0] = fresh

    def _alias(self, event: yaml.AliasEvent) -> None:
        at = event.start_mark.index + self._offset
        target = self._anchors.get(event.anchor, self)
        if target is self:
            raise self._source.error(f"there is no anchor {event.anchor!r}", at)
        if not isinstance(target, Node):
            raise self._source.error(f"the anchor {event.anchor!r} contains itself", at)
        _mark_aliased(target)
        self._add(target, None, end=event.end_mark.index + self._offset)

    def _add(self, node: Node, anchor: str | None, *, end: int | None = None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.roots.append(node)
            return
        parent = self._open[-1]
        parent.end = node.end if end is None else end
        if parent.node.kind == "list":
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            self._add_entry(parent, parent.key, node)
            parent.key = None

    def _add_entry(self, parent: _OpenCollection, key: Node, value: Node) -> None:
        if key.text == "<<" and not key.quoted:
            parent.merged += [value] if value.kind == "map" else value.items
            return
        if key.text in parent.keys:
            line, _ = self._source.position(key.start)
            what = f"the key {key.text!r} is duplicated; only the last one is used"
            self.unread.append(UnreadPart(self._source.path, line, what))
        parent.keys.add(key.text)
        parent.node.entries.append(Entry(key, value))


def _mark_aliased(target: Node) -> None:
    """Mark a node and all its descendants as aliased.

    The descendants of a marked node are already marked.
    """
    pending = [target]
    while pending:
        node = pending.pop()
        if not node.aliased:
            node.aliased = True
            pending.extend(node.children())
