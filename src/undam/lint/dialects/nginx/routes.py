"""Routes: the locations that hand requests to another server, where they lead, and which stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from undam.lint.dialects.nginx.scopes import Configuration, Scope
from undam.lint.dialects.nginx.tree import Directive
from undam.lint.routes import RouteHints, StreamLikelihood, classify_route
from undam.textfiles.edits import Edit

PASSES = ("proxy_pass", "grpc_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass")

_VARIABLE = re.compile(r"\$\{?(\w+)")
_LITERAL = re.compile(r"\^?([\w/-]*)")
# A variable may be set from another one; chains in real files are shorter than this.
_MAX_HOPS = 4


@dataclass(frozen=True, eq=False)
class Route:
    """A location that passes requests on.

    Args:
        scope: the level of the location. Conditions in it (`if`, `limit_except`) may pass on, but
            buffers and limits are the location's.
        opener: its `location`.
        passes: each `proxy_pass`, or kin of the same protocol, in it.
        protocol: with what its directives begin: ``proxy``, ``uwsgi``, …
    """

    scope: Scope
    opener: Directive
    passes: tuple[Directive, ...]
    protocol: str
    streams: StreamLikelihood

    def put(self, text: str) -> tuple[Directive, Edit]:
        """Where a new directive goes, to be marked, and the edit that puts it there."""
        first = self.passes[0]
        if first.source is self.opener.source and first in self.scope.own(first.name):
            return first, first.insert_after(text)
        return self.opener, self.opener.insert_inside(text)

    def put_beside(self, one: Directive, text: str) -> tuple[Directive, Edit]:
        """The same behind ``one``, if that stands in the location itself."""
        if one.source is self.opener.source and one in self.scope.own(one.name):
            return one, one.insert_after(text)
        return self.put(text)

    def set_value(self, name: str, value: str) -> tuple[Directive, Edit]:
        """The same for a simple directive, which the location may have already."""
        own = self.scope.own(name)
        if own and len(own[-1].words) > 1:
            return own[-1], own[-1].replace_value(value)
        return self.put(f"{name} {value};")


def find_routes(configuration: Configuration, hints: RouteHints) -> Iterator[Route]:
    """Every route, streaming or not."""
    places = _Places(configuration.root)
    for scope in places.scopes:
        if scope.kind != "location" or scope.opener is None:
            continue
        levels = [scope, *(one for one in scope.children if one.kind in {"if", "limit_except"})]
        for name in PASSES:
            passes = tuple(one for level in levels for one in level.own(name))
            if passes:
                streams = _judge(scope, passes, places, hints)
                protocol = name.removesuffix("_pass")
                yield Route(scope, scope.opener, passes, protocol, streams)


class _Places:
    """What names lead to: upstream blocks, maps, variables, named locations."""

    def __init__(self, root: Scope) -> None:
        self.scopes = list(root.all_scopes())
        self.upstreams: dict[str, set[str]] = {}
        self.variables: dict[str, set[str]] = {}
        self.users: dict[str, list[str]] = {}
        self._engines: dict[str, tuple[str, ...]] = {}
        self._named: dict[tuple[Scope, str], int] = {}
        for scope in self.scopes:
            for one in scope.own("set"):
                if len(one.args) > 1:
                    self.variables.setdefault(one.value.lstrip("$"), set()).add(one.args[1])
            if scope.opener is not None:
                self._learn(scope, scope.opener)

    def _learn(self, scope: Scope, opener: Directive) -> None:
        if opener.name == "upstream":
            servers = {one.value for one in scope.own("server")}
            self.upstreams.setdefault(opener.value, set()).update(servers)
        elif opener.name == "map" and len(opener.args) > 1:
            results = {one.value for one in scope.directives}
            self.variables.setdefault(opener.args[1].lstrip("$"), set()).update(results)
        elif opener.name == "location":
            for one in (*scope.own("try_files"), *scope.own("error_page")):
                for arg in one.args:
                    if arg.startswith("@"):
                        self.users.setdefault(arg, []).append(path_of(opener))

    def engines(self, target: str) -> tuple[str, ...]:
        """One of the upstreams behind a target that streams by its looks; none if none does."""
        # Remembered, because thousands of routes may lead through one large map.
        if target not in self._engines:
            likely = (one for one in sorted(self._behind(target)) if _looks_like_engine(one))
            self._engines[target] = tuple(islice(likely, 1))
        return self._engines[target]

    def _behind(self, target: str) -> set[str]:
        """The target, what its variables may be, and the servers of upstream blocks so named."""
        known, fresh = {target}, {target}
        for _ in range(_MAX_HOPS):
            new: set[str] = set()
            for one in fresh:
                for variable in _VARIABLE.findall(one):
                    new |= self.variables.get(variable, set())
                new |= self.upstreams.get(_host(one), set())
            fresh = new - known
            known |= new
        return known

    def most_named(self, parent: Scope, hint: str) -> int:
        """How much of a hinted path the locations of a level name, at most."""
        if (parent, hint) not in self._named:
            named = (_named(_literal(path_of(one)), hint) for one in parent.own("location"))
            self._named[parent, hint] = max(named, default=0)
        return self._named[parent, hint]

    def paths(self, location: Directive) -> list[str]:
        """The path of a location; of a named one also those of the locations that use it."""
        path = path_of(location)
        return [path, *self.users.get(path, [])]


def path_of(location: Directive) -> str:
    """The prefix or pattern of a location."""
    return location.args[-1] if location.args else "/"


def _host(target: str) -> str:
    return target.partition("://")[2].partition("/")[0] if "://" in target else target


def _judge(
    scope: Scope, passes: tuple[Directive, ...], places: _Places, hints: RouteHints
) -> StreamLikelihood:
    assert scope.opener is not None
    paths = places.paths(scope.opener)
    if hints.paths:
        paths = [_literal(path) for path in paths]
        wanted = [hint for hint in hints.paths if not _is_taken(hint, paths[0], scope, places)]
        streams = (
            classify_route(path, (), RouteHints((hint,))) for path in paths for hint in wanted
        )
        return max(streams, default=StreamLikelihood.NO)
    upstreams = [found for one in passes for found in places.engines(one.value)]
    return max(classify_route(path, upstreams, hints) for path in paths)


def _looks_like_engine(upstream: str) -> bool:
    return classify_route("/", [upstream], RouteHints()) is not StreamLikelihood.NO


def _is_taken(hint: str, path: str, scope: Scope, places: _Places) -> bool:
    """Whether requests under ``hint`` go to a sibling that names more of it than ``path`` does."""
    own = _named(path, hint)
    assert scope.parent is not None  # the file is no location
    return 0 < own < places.most_named(scope.parent, hint)


def _named(path: str, hint: str) -> int:
    """How much of a hinted path a prefix names."""
    bare = path.rstrip("/") + "/"
    return len(bare) if (hint.rstrip("*/") + "/").startswith(bare) else 0


def _literal(path: str) -> str:
    """What a regular expression says of the path before its first choice; a prefix as it is."""
    found = _LITERAL.match(path) if path.startswith("^") else None
    return found[1] if found else path
