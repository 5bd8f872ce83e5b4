"""What of a Traefik configuration matters here. Traefik reads its keys in any case, and takes its
static and dynamic settings from one file or several."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.routes import PathMatch, RouteHints, StreamLikelihood, classify_pattern
from undam.textfiles.tree import Entry, Node, items_of

_PATHS = re.compile(r"(Path|PathPrefix|PathRegexp)\s*\(([^)]{0,2000})\)")
_QUOTED = re.compile(r"`([^`]*)`|\"([^\"]*)\"|'([^']*)'")
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:h|ms|m|us|µs|ns|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)")
# Real routers lead to a handful; a web of services that all name each other is not followed to its
# end.
_FOLLOWED = 50
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def at(node: Node | None, *path: str) -> Node | None:
    """The value under these keys, in any case; ``path`` in lower case."""
    for name in path:
        node = node.get(name, ignore_case=True) if node else None
    return node


def entry_at(node: Node | None, name: str) -> Entry | None:
    """The entry with this key, in any case."""
    return node.entry(name, ignore_case=True) if node else None


def seconds_of(node: Node | None) -> float | None:
    """A duration as Go writes it, or plain seconds; ``None`` where it is none."""
    if node is None or node.kind != "scalar":
        return None
    text = node.text.strip()
    if re.fullmatch(r"\d{1,12}", text, re.ASCII):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


@dataclass(frozen=True, slots=True)
class Middleware:
    """A middleware that a router uses.

    Args:
        listed: where the router names it, or ``None`` where it comes through a chain or the entry
            point.
    """

    name: str
    node: Node
    listed: tuple[Entry, Node] | None


@dataclass(frozen=True, slots=True, eq=False)
class Router:
    """An HTTP router."""

    name: str
    node: Node


class Model:
    """A file's parts, by their names in lower case."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.services = _named(at(root, "http", "services"))
        self.middlewares = _named(at(root, "http", "middlewares"))
        self.transports = _named(at(root, "http", "serverstransports"))
        self.entry_points = _named(at(root, "entrypoints"))
        self._reached: dict[str, list[Entry]] = {}
        self._places: dict[str, list[str]] = {}

    def services_from(self, name: str) -> list[Entry]:
        """A service and those it leads to, through weighted, mirrored and failover ones."""
        if name not in self._reached:
            self._reached[name] = self._follow(name)
        return self._reached[name]

    def places_from(self, name: str) -> list[str]:
        """The names and servers of these services."""
        if name not in self._places:
            reached = self.services_from(name)
            self._places[name] = [place for one in reached for place in _places(one)]
        return self._places[name]

    def _follow(self, name: str) -> list[Entry]:
        todo = [name]
        found: dict[str, Entry] = {}
        while todo and len(found) < _FOLLOWED:
            name = todo.pop()
            entry = self.services.get(name)
            if entry is not None and name not in found:
                found[name] = entry
                todo += [local_name(one) for one in _inner_services(entry.value)]
        return list(found.values())


def _named(node: Node | None) -> dict[str, Entry]:
    return {entry.key.text.lower(): entry for entry in (node.entries if node else ())}


def streaming_routers(model: Model, hints: RouteHints) -> Iterator[Router]:
    """The HTTP routers that stream."""
    for entry in _named(at(model.root, "http", "routers")).values():
        router = Router(entry.key.text, entry.value)
        servers = model.places_from(_service_of(router))
        rule = at(router.node, "rule")
        paths = list(_rule_paths(rule.text if rule else "")) or [("/", PathMatch.PREFIX)]
        if any(
            classify_pattern(path, how, servers, hints) > StreamLikelihood.NO for path, how in paths
        ):
            yield router


def _rule_paths(rule: str) -> Iterator[tuple[str, PathMatch]]:
    for call, arguments in _PATHS.findall(rule):
        how = PathMatch.REGEX if call == "PathRegexp" else PathMatch.PREFIX
        for quoted in _QUOTED.findall(arguments):
            yield next(filter(None, quoted), "/"), how


def services_of(model: Model, router: Router) -> list[Entry]:
    """The services a router leads to."""
    return model.services_from(_service_of(router))


def _service_of(router: Router) -> str:
    first = at(router.node, "service")
    return local_name(first.text) if first else ""


def _inner_services(service: Node) -> list[str]:
    weighted = [at(one, "name") for one in items_of(at(service, "weighted", "services"))]
    others = [
        at(service, "mirroring", "service"),
        at(service, "failover", "service"),
        at(service, "failover", "fallback"),
    ]
    return [one.text for one in (*weighted, *others) if one is not None]


def _places(service: Entry) -> list[str]:
    servers = items_of(at(service.value, "loadbalancer", "servers"))
    return [service.key.text, *(url.text for one in servers if (url := at(one, "url")))]


def local_name(name: str) -> str:
    """A name in lower case and without ``@file``; of other providers it keeps theirs."""
    return name.lower().removesuffix("@file")


def middlewares_of(model: Model, router: Router) -> tuple[list[Middleware], list[Node]]:
    """The middlewares a router uses, through chains and its entry points in the same file; and the
    names that stand in no part of this file."""
    todo = _listed(model, router)
    found: dict[str, Middleware] = {}
    missing: list[Node] = []
    while todo and len(found) < _FOLLOWED:
        item, place = todo.pop(0)
        name = local_name(item.text)
        entry = model.middlewares.get(name)
        if entry is None:
            missing.append(item)
        elif name not in found:
            found[name] = Middleware(entry.key.text, entry.value, place)
            chained = items_of(at(entry.value, "chain", "middlewares"))
            todo += [(inner, None) for inner in chained]
    return list(found.values()), missing


def _listed(model: Model, router: Router) -> list[tuple[Node, tuple[Entry, Node] | None]]:
    own = entry_at(router.node, "middlewares")
    listed: list[tuple[Node, tuple[Entry, Node] | None]] = []
    for point in entry_points_of(model, router):
        listed += [(item, None) for item in items_of(at(point.value, "http", "middlewares"))]
    if own is not None:
        listed += [(item, (own, item)) for item in items_of(own.value)]
    return listed


def entry_points_of(model: Model, router: Router) -> list[Entry]:
    """The entry points of this file that lead to a router; without a list, all."""
    wanted = {item.text.lower() for item in items_of(at(router.node, "entrypoints"))}
    return [one for name, one in model.entry_points.items() if not wanted or name in wanted]
