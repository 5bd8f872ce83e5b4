"""Read YAML, and JSON as YAML, into a tree with places. Aliases are never copied, so a text costs
no more than its length."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml  # type: ignore[import-untyped]

from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node
from undam.textfiles.unread import Unread

# Real configurations stay below 40; the limit keeps whatever walks a tree from going too deep.
_DEPTH = 200
# A chain of merges can repeat keys without end.
_MERGED = 10_000
# In C where the package was built with it: 20 times as fast, with the same marks.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Documents:
    """What a text holds.

    Args:
        roots: of its documents, in their order.
        unread: keys that stand twice in a map. The last is read, as most programs do.
    """

    roots: tuple[Node, ...]
    unread: tuple[Unread, ...]


def read_yaml(source: Source) -> Documents:
    """The documents of a text; an empty text has none.

    Raises:
        ConfigSyntaxError: not YAML, nested too deeply, an unknown alias or one of itself.
    """
    skipped = 1 if source.text.startswith(_BOM) else 0
    text = source.text[skipped:]
    if text.lstrip()[:1] in {"{", "["}:
        text = text.replace("\t", " ")  # JSON may be indented with them, YAML may not
    builder = _Builder(source, skipped)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.receive(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = mark.index + skipped if mark else 0
        raise source.error(f"not YAML: {error.problem or error.context}", at) from None
    except yaml.reader.ReaderError as error:
        raise source.error(f"not YAML: {error.reason}", error.position + skipped) from None
    except UnicodeEncodeError as error:
        raise source.error("not YAML: half of a surrogate pair", error.start + skipped) from None
    return Documents(tuple(builder.roots), tuple(builder.unread))


@dataclass(slots=True)
class _Open:
    """A map or list that has begun."""

    node: Node
    anchor: str | None
    end: int
    key: Node | None = None
    keys: set[str] = field(default_factory=set)
    merged: list[Node] = field(default_factory=list)


class _Builder:
    """Makes the tree from the parser's events."""

    def __init__(self, source: Source, skipped: int) -> None:
        self.roots: list[Node] = []
        self.unread: list[Unread] = []
        self._source = source
        self._skipped = skipped
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._merges_left = _MERGED

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
            start=event.start_mark.index + self._skipped,
            end=event.end_mark.index + self._skipped,
            text=event.value,
            quoted=event.style in {"'", '"'},
            form="block" if event.style in {"|", ">"} else "flow",
            marked=event.anchor is not None or event.tag is not None,
        )

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        at = event.start_mark.index + self._skipped
        if len(self._open) >= _DEPTH:
            raise self._source.error(f"nested more than {_DEPTH} levels deep", at)
        node = Node(
            kind="map" if isinstance(event, yaml.MappingStartEvent) else "list",
            start=at,
            end=event.end_mark.index + self._skipped,
            form="flow" if event.flow_style else "block",
            marked=event.anchor is not None or event.tag is not None,
        )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor, node.end))

    def _finish(self, event: yaml.CollectionEndEvent) -> None:
        done = self._open.pop()
        node = done.node
        flow = node.form == "flow"
        node.end = event.end_mark.index + self._skipped if flow else done.end
        self._merge(done)
        self._add(node, done.anchor)

    def _merge(self, done: _Open) -> None:
        node = done.node
        known = {entry.key.text for entry in node.entries}
        for merged in done.merged:
            fresh = [one for one in merged.entries if one.key.text not in known]
            self._merges_left -= len(merged.entries)
            if self._merges_left < 0:
                raise self._source.error("merges more keys than can be followed", node.start)
            known |= {one.key.text for one in fresh}
            node.entries[:0] = fresh

    def _alias(self, event: yaml.AliasEvent) -> None:
        at = event.start_mark.index + self._skipped
        target = self._anchors.get(event.anchor, self)
        if target is self:
            raise self._source.error(f"no anchor is called {event.anchor!r}", at)
        if not isinstance(target, Node):
            raise self._source.error(f"the anchor {event.anchor!r} contains itself", at)
        _share(target)
        self._add(target, None, end=event.end_mark.index + self._skipped)

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

    def _add_entry(self, parent: _Open, key: Node, value: Node) -> None:
        if key.text == "<<" and not key.quoted:
            parent.merged += [value] if value.kind == "map" else value.items
            return
        if key.text in parent.keys:
            line, _ = self._source.place(key.start)
            what = f"the key {key.text!r} stands twice; only the last is read"
            self.unread.append(Unread(self._source.path, line, what))
        parent.keys.add(key.text)
        parent.node.entries.append(Entry(key, value))


def _share(target: Node) -> None:
    """Mark what an alias repeats; below a marked node all are marked already."""
    todo = [target]
    while todo:
        node = todo.pop()
        if not node.shared:
            node.shared = True
            todo.extend(node.children())
