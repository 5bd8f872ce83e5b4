"""Streaming routers in a Traefik configuration, with their middlewares and services.

The static and the dynamic configuration can be in one file or in several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.traefik.parser import at, entry_at, local_name
from undam.lint.routes import (
    AssessedRoute,
    PathMatch,
    RouteHints,
    assess_pattern,
    strongest,
)
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node, items_of

_PATHS = re.compile(r"(Path|PathPrefix|PathRegexp)\s*\(([^)]{0,2000})\)")
_HOSTS = re.compile(r"Host(?:SNI|Regexp)?\s*\(([^)]{0,2000})\)")
_QUOTED = re.compile(r"`([^`]*)`|\"([^\"]*)\"|'([^']*)'")
# Real routers use few services and middlewares. This limit stops reference cycles.
_MAX_FOLLOWED = 50


@dataclass(frozen=True, slots=True)
class Middleware:
    """A middleware that a router uses.

    Args:
        listed: the list of the router that names it, and the item; ``None`` if it is used through a
            chain or an entry point.
    """

    name: str
    node: Node
    listed: tuple[Entry, Node] | None


@dataclass(frozen=True, slots=True, eq=False)
class TraefikRouter:
    """An HTTP router.

    Args:
        assessed: the router with its outcome.
    """

    name: str
    node: Node
    assessed: AssessedRoute


class TraefikConfig:
    """The sections of a Traefik file, indexed by lower-case names."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.services = _by_name(at(root, "http", "services"))
        self.middlewares = _by_name(at(root, "http", "middlewares"))
        self.transports = _by_name(at(root, "http", "serverstransports"))
        self.entry_points = _by_name(at(root, "entrypoints"))
        self._services_from: dict[str, list[Entry]] = {}
        self._upstreams_from: dict[str, list[str]] = {}

    def routers(self, hints: RouteHints, source: Source) -> Iterator[TraefikRouter]:
        """Yield the HTTP routers, each with its assessed route."""
        for entry in _by_name(at(self.root, "http", "routers")).values():
            upstreams = [entry.key.text, *self._upstreams(_service_name(entry.value))]
            rule = at(entry.value, "rule")
            text = rule.text if rule else ""
            paths = list(rule_paths(text)) or [("/", PathMatch.PREFIX)]
            sites = list(rule_hosts(text))
            assessment = strongest(
                assess_pattern(path, match, upstreams, hints, sites=sites) for path, match in paths
            )
            line, _ = source.position(entry.key.start)
            name = paths[0][0]
            hint = name if name.startswith("/") else "/"
            upstream = upstreams[-1]
            assessed = AssessedRoute(source.path, line, name, upstream, assessment, hint)
            yield TraefikRouter(entry.key.text, entry.value, assessed)

    def services_of(self, router: TraefikRouter) -> list[Entry]:
        """Return the services that a router leads to."""
        return self._services(_service_name(router.node))

    def entry_points_of(self, router: TraefikRouter) -> list[Entry]:
        """Return the entry points in this file that a router uses; all of them if it lists none."""
        wanted = {item.text.lower() for item in items_of(at(router.node, "entrypoints"))}
        return [one for name, one in self.entry_points.items() if not wanted or name in wanted]

    def middlewares_of(self, router: TraefikRouter) -> tuple[list[Middleware], list[Node]]:
        """Return a router's middlewares, and the references to middlewares defined elsewhere.

        Chains, and the entry points in the same file, are followed.
        """
        pending = self._listed_middlewares(router)
        found: dict[str, Middleware] = {}
        missing: list[Node] = []
        while pending and len(found) < _MAX_FOLLOWED:
            item, listed = pending.pop(0)
            name = local_name(item.text)
            entry = self.middlewares.get(name)
            if entry is None:
                missing.append(item)
            elif name not in found:
                found[name] = Middleware(entry.key.text, entry.value, listed)
                chained = items_of(at(entry.value, "chain", "middlewares"))
                pending += [(inner, None) for inner in chained]
        return list(found.values()), missing

    def unread_middlewares(self, router: TraefikRouter, source: Source) -> Iterator[UnreadPart]:
        """Yield a router's middlewares that are defined in another file or by another provider."""
        for item in self.middlewares_of(router)[1]:
            what = f"the middleware {item.text}, which is defined elsewhere"
            yield UnreadPart(source.path, source.position(item.start)[0], what)

    def _listed_middlewares(
        self, router: TraefikRouter
    ) -> list[tuple[Node, tuple[Entry, Node] | None]]:
        own = entry_at(router.node, "middlewares")
        listed: list[tuple[Node, tuple[Entry, Node] | None]] = []
        for point in self.entry_points_of(router):
            listed += [(item, None) for item in items_of(at(point.value, "http", "middlewares"))]
        if own is not None:
            listed += [(item, (own, item)) for item in items_of(own.value)]
        return listed

    def _services(self, name: str) -> list[Entry]:
        """Return a service and the services that it refers to (weighted, mirrored or failover)."""
        if name not in self._services_from:
            self._services_from[name] = self._follow(name)
        return self._services_from[name]

    def _upstreams(self, name: str) -> list[str]:
        """Return the names and servers of a service and of the services that it refers to."""
        if name not in self._upstreams_from:
            self._upstreams_from[name] = [
                upstream for one in self._services(name) for upstream in _upstreams_of(one)
            ]
        return self._upstreams_from[name]

    def _follow(self, name: str) -> list[Entry]:
        pending = [name]
        found: dict[str, Entry] = {}
        while pending and len(found) < _MAX_FOLLOWED:
            name = pending.pop()
            entry = self.services.get(name)
            if entry is not None and name not in found:
                found[name] = entry
                pending += [local_name(one) for one in _inner_services(entry.value)]
        return list(found.values())


def _by_name(node: Node | None) -> dict[str, Entry]:
    return {entry.key.text.lower(): entry for entry in (node.entries if node else ())}


def rule_paths(rule: str) -> Iterator[tuple[str, PathMatch]]:
    """Yield the paths in a router's rule."""
    for call, arguments in _PATHS.findall(rule):
        match = PathMatch.REGEX if call == "PathRegexp" else PathMatch.PREFIX
        for quoted in _QUOTED.findall(arguments):
            yield next(filter(None, quoted), "/"), match


def rule_hosts(rule: str) -> Iterator[str]:
    """Yield the host names in a router's rule."""
    for arguments in _HOSTS.findall(rule):
        for quoted in _QUOTED.findall(arguments):
            yield next(filter(None, quoted), "")


def _service_name(router: Node) -> str:
    service = at(router, "service")
    return local_name(service.text) if service else ""


def _inner_services(service: Node) -> list[str]:
    weighted = [at(one, "name") for one in items_of(at(service, "weighted", "services"))]
    others = [
        at(service, "mirroring", "service"),
        at(service, "failover", "service"),
        at(service, "failover", "fallback"),
    ]
    return [one.text for one in (*weighted, *others) if one is not None]


def _upstreams_of(service: Entry) -> list[str]:
    servers = items_of(at(service.value, "loadbalancer", "servers"))
    return [service.key.text, *(url.text for one in servers if (url := at(one, "url")))]
