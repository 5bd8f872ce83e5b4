"""Levels of a configuration, includes opened, and what is in force at each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from undam.lint.dialect import IncludeOpener
from undam.lint.dialects.nginx.tree import MAX_DEPTH, Directive, read_tree
from undam.textfiles.source import Source, UnreadPart

# Blocks of other protocols, and of what is no request.
_OTHERS = frozenset({"stream", "mail", "events", "types", "geo", "split_clients", "geoip2"})
# A file that includes itself is left out at once; many that include each other end here.
_MAX_PATHS = 32
_MAX_INCLUDED = 2000


@dataclass(eq=False)
class Scope:
    """One level: a block, or the file itself.

    Args:
        opener: the directive that opens the block; ``None`` for the file.
        directives: all of this level, included ones in their place.
    """

    opener: Directive | None = None
    parent: Scope | None = None
    directives: list[Directive] = field(default_factory=list)
    children: list[Scope] = field(default_factory=list)
    depth: int = 0

    @property
    def kind(self) -> str:
        return self.opener.name if self.opener else "file"

    def all_scopes(self) -> Iterator[Scope]:
        """This one and all below."""
        yield self
        for child in self.children:
            yield from child.all_scopes()

    def ancestors(self) -> Iterator[Scope]:
        """This one, then outwards."""
        scope: Scope | None = self
        while scope:
            yield scope
            scope = scope.parent

    @cached_property
    def _by_name(self) -> dict[str, list[Directive]]:
        names: dict[str, list[Directive]] = {}
        for one in self.directives:
            names.setdefault(one.name, []).append(one)
        return names

    def own(self, name: str) -> list[Directive]:
        """The directives of this name that stand at this level."""
        return self._by_name.get(name, [])

    def in_force(self, name: str) -> list[Directive]:
        """Those that hold here. nginx inherits by level: one that has any of this name hides all
        that stand further out, also where several add up (`add_header`, `proxy_set_header`)."""
        return next(filter(None, (scope.own(name) for scope in self.ancestors())), [])

    def value(self, name: str, default: str) -> str:
        """The value that a simple directive has here."""
        found = self.in_force(name)
        return found[-1].value if found else default

    def is_on(self, name: str, *, default: bool) -> bool:
        """Whether a flag is on here."""
        return self.value(name, "on" if default else "off").lower() == "on"

    def names(self, name: str) -> set[str]:
        """All arguments that directives of this name have here, in lower case."""
        return {arg.lower() for one in self.in_force(name) for arg in one.args}

    def can_lose(self, one: Directive) -> bool:
        """Whether ``one``, which stands here, can go without an outer level coming into force."""
        outside = self.parent.in_force(one.name) if self.parent else []
        return len(self.own(one.name)) > 1 or not outside


@dataclass(frozen=True)
class Configuration:
    """A file with all that it includes."""

    root: Scope
    included: tuple[Source, ...]
    unread: tuple[UnreadPart, ...]


class _Reader:
    def __init__(self, open_include: IncludeOpener) -> None:
        self._open_include = open_include
        self._trees: dict[str, tuple[Directive, ...]] = {}
        self._opened = 0
        self.included: dict[str, Source] = {}
        self.unread: dict[tuple[str, int], UnreadPart] = {}

    def read(self, scope: Scope, directives: tuple[Directive, ...], paths: tuple[str, ...]) -> None:
        for one in directives:
            if one.name == "include" and one.block is None:
                self._include(scope, one, paths)
                continue
            scope.directives.append(one)
            if one.is_lua:
                self._leave(one, f"the Lua of {one.name}")
            elif one.block is not None and scope.depth > MAX_DEPTH:
                self._leave(one, f"{one.name}, which is more than {MAX_DEPTH} blocks deep")
            elif one.block is not None and one.name not in _OTHERS:
                inner = Scope(one, scope, depth=scope.depth + 1)
                scope.children.append(inner)
                self.read(inner, one.block, paths)

    def _include(self, scope: Scope, one: Directive, paths: tuple[str, ...]) -> None:
        for source in self._open_include(one.value):
            if source.path in paths or len(paths) > _MAX_PATHS or self._opened >= _MAX_INCLUDED:
                self._leave(one, f"{source.path}, which is included by itself or too deep")
                continue
            self._opened += 1
            self.included[source.path] = source
            if source.path not in self._trees:
                self._trees[source.path] = read_tree(source)
            self.read(scope, self._trees[source.path], (*paths, source.path))

    def _leave(self, one: Directive, what: str) -> None:
        line, _ = one.source.position(one.start)
        self.unread[one.source.path, one.start] = UnreadPart(one.source.path, line, what)


def read_configuration(source: Source, open_include: IncludeOpener) -> Configuration:
    """The levels of a file and of all that it includes.

    Raises:
        ConfigSyntaxError: one of the files cannot be read; it names the file.
    """
    reader, root = _Reader(open_include), Scope()
    reader.read(root, read_tree(source), (source.path,))
    included = {path: one for path, one in reader.included.items() if path != source.path}
    return Configuration(root, tuple(included.values()), tuple(reader.unread.values()))
