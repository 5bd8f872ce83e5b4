"""The levels of a configuration with its includes, and the directives in force at each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from undam.errors import ConfigSyntaxError
from undam.lint.dialect import IncludeOpener, PartlyOpened, is_stock_include
from undam.lint.dialects.nginx.parser import MAX_DEPTH, NginxDirective, read_tree
from undam.textfiles.source import Source, UnreadPart

# Blocks for other protocols, and blocks that cannot contain directives for HTTP requests.
_OTHERS = frozenset({"stream", "mail", "events", "types", "geo", "split_clients", "geoip2"})
# A file that includes itself is skipped at once. These limits stop indirect include loops.
_MAX_PATHS = 32
_MAX_INCLUDED = 2000


@dataclass(eq=False)
class NginxScope:
    """One level of a configuration: a block, or the file itself.

    Args:
        opener: the directive that opens the block; ``None`` for the file.
        directives: the directives of this level; an include is replaced by its content.
        unread: the parts of this level that were not read: includes, and holes in a template.
    """

    opener: NginxDirective | None = None
    parent: NginxScope | None = None
    directives: list[NginxDirective] = field(default_factory=list)
    children: list[NginxScope] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    depth: int = 0

    @property
    def kind(self) -> str:
        return self.opener.name if self.opener else "file"

    def all_scopes(self) -> Iterator[NginxScope]:
        """Yield this scope and all scopes below it."""
        yield self
        for child in self.children:
            yield from child.all_scopes()

    def ancestors(self) -> Iterator[NginxScope]:
        """Yield this scope, then its enclosing scopes, innermost first."""
        scope: NginxScope | None = self
        while scope:
            yield scope
            scope = scope.parent

    @property
    def unread_part(self) -> str | None:
        """An unread part of this scope or an enclosing one; ``None`` if everything was read."""
        return next((part for scope in self.ancestors() for part in scope.unread), None)

    @cached_property
    def _by_name(self) -> dict[str, list[NginxDirective]]:
        names: dict[str, list[NginxDirective]] = {}
        for one in self.directives:
            names.setdefault(one.name, []).append(one)
        return names

    def own(self, name: str) -> list[NginxDirective]:
        """Return the directives with this name at this level."""
        return self._by_name.get(name, [])

    def in_force(self, name: str) -> list[NginxDirective]:
        """Return the directives with this name that are in force in this scope.

        nginx inherits by level: a level with any directive of a name hides all of that name further
        out, even for directives that add up (`add_header`, `proxy_set_header`).
        """
        return next(filter(None, (scope.own(name) for scope in self.ancestors())), [])

    def value(self, name: str, default: str) -> str:
        """Return the value of a simple directive that is in force in this scope."""
        found = self.in_force(name)
        return found[-1].value if found else default

    def is_on(self, name: str, *, default: bool) -> bool:
        """Return whether a flag is on in this scope."""
        return self.value(name, "on" if default else "off").lower() == "on"

    def names(self, name: str) -> set[str]:
        """Return the arguments, in lower case, of all directives with this name in force."""
        return {arg.lower() for one in self.in_force(name) for arg in one.args}

    def can_remove(self, one: NginxDirective) -> bool:
        """Return whether a directive at this level can be removed without side effects.

        It cannot if that would bring the directives of an outer level into force.
        """
        outside = self.parent.in_force(one.name) if self.parent else []
        return len(self.own(one.name)) > 1 or not outside


@dataclass(frozen=True)
class NginxConfig:
    """A configuration file with its included files."""

    root: NginxScope
    included: tuple[Source, ...]
    unread: tuple[UnreadPart, ...]


class _NginxReader:
    def __init__(self, open_include: IncludeOpener) -> None:
        self._open_include = open_include
        self._trees: dict[str, tuple[NginxDirective, ...]] = {}
        self._opened = 0
        self._scopes_of: dict[str, list[NginxScope]] = {}
        self.included: dict[str, Source] = {}
        self.unread: dict[tuple[str, int], UnreadPart] = {}

    def read(
        self, scope: NginxScope, directives: tuple[NginxDirective, ...], paths: tuple[str, ...]
    ) -> None:
        for one in directives:
            if one.name == "include" and one.block is None:
                self._include(scope, one, paths)
                continue
            scope.directives.append(one)
            if one.is_lua:
                self._skip(one, f"the Lua code of {one.name}")
            elif one.block is not None and scope.depth > MAX_DEPTH:
                self._skip(one, f"{one.name}, which is nested more than {MAX_DEPTH} levels deep")
            elif one.block is not None and one.name not in _OTHERS:
                inner = NginxScope(one, scope, depth=scope.depth + 1)
                scope.children.append(inner)
                self.read(inner, one.block, paths)

    def _include(self, scope: NginxScope, one: NginxDirective, paths: tuple[str, ...]) -> None:
        sources = self._open_include(one.value)
        # At the outer levels, patterns such as conf.d/*.conf include files for other servers.
        is_for_servers = "*" in one.value and scope.kind in {"file", "http"}
        is_unread = not sources or isinstance(sources, PartlyOpened)
        if is_unread and not is_for_servers and not is_stock_include(one.value):
            scope.unread.append(f"{'a part of ' if sources else ''}include {one.value}")
        for source in sources:
            if source.path in paths or len(paths) > _MAX_PATHS or self._opened >= _MAX_INCLUDED:
                self._skip(one, f"{source.path}, which includes itself or is included too deep")
                continue
            self._opened += 1
            self._scopes_of.setdefault(source.path, []).append(scope)
            try:
                if source.path not in self._trees:
                    self._trees[source.path] = read_tree(source)
            except ConfigSyntaxError as error:
                scope.unread.append(f"include {one.value}")
                self._skip(one, f"{source.path} ({error})")
                continue
            self.included[source.path] = source
            self.read(scope, self._trees[source.path], (*paths, source.path))

    def mark_holes(self, root: NginxScope, main: Source) -> None:
        """Record each template placeholder as unread in the innermost scopes that contain it."""
        self._scopes_of.setdefault(main.path, []).append(root)
        scopes = list(root.all_scopes()) if main.holes or self._have_holes() else []
        for source in (main, *self.included.values()):
            for start, end in source.holes:
                line, _ = source.position(start)
                what = f"{source.written[start:end].strip()} at {source.path}:{line}"
                inside = [
                    one
                    for one in scopes
                    if one.opener and one.opener.source is source
                    if one.opener.opened <= start < one.opener.end
                ]
                depth = max((one.depth for one in inside), default=0)
                innermost = [one for one in inside if one.depth == depth]
                for scope in innermost or self._scopes_of[source.path]:
                    scope.unread.append(what)
                unread = f"a placeholder of a template: {source.written[start:end].strip()}"
                self.unread[source.path, start] = UnreadPart(source.path, line, unread)

    def _have_holes(self) -> bool:
        return any(one.holes for one in self.included.values())

    def _skip(self, one: NginxDirective, what: str) -> None:
        line, _ = one.source.position(one.start)
        self.unread[one.source.path, one.start] = UnreadPart(one.source.path, line, what)


def read_configuration(source: Source, open_include: IncludeOpener) -> NginxConfig:
    """Parse a file and the files that it includes. Invalid included files are skipped.

    Raises:
        ConfigSyntaxError: the file cannot be parsed.
    """
    reader, root = _NginxReader(open_include), NginxScope()
    reader.read(root, read_tree(source), (source.path,))
    reader.mark_holes(root, source)
    included = {path: one for path, one in reader.included.items() if path != source.path}
    return NginxConfig(root, tuple(included.values()), tuple(reader.unread.values()))
