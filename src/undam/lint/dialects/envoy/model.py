"""What of an Envoy configuration matters here: connection managers, their filters and routes, and
clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from undam.lint.routes import PathMatch, RouteHints, StreamLikelihood, classify_pattern
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node, items_of, walk

_MANAGER = ".HttpConnectionManager"
_ROUTES = "envoy.config.route.v3.RouteConfiguration"
_CLUSTER_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class Filter:
    """An HTTP filter of a connection manager."""

    name: Entry
    config: Node
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A route that goes to a cluster.

    Args:
        entry: of the action, ``route``.
        around: the virtual host and the route configuration it stands in.
        clusters: those it may go to, as far as they stand in the text.
    """

    node: Node
    entry: Entry
    around: tuple[Node, ...]
    clusters: tuple[Node, ...]

    @property
    def action(self) -> Node:
        """Where the limits stand."""
        return self.entry.value


@dataclass(frozen=True, slots=True, eq=False)
class Manager:
    """A connection manager with its streaming routes; ``node`` is ``None`` for routes that stand
    in a file of their own."""

    node: Node | None
    filters: tuple[Filter, ...]
    routes: tuple[Route, ...]


def camel(name: str) -> str:
    """``stream_idle_timeout`` -> ``streamIdleTimeout``, as protobuf's JSON also has it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def field(node: Node | None, *path: str) -> Node | None:
    """The value under these fields, each in either of its two spellings."""
    for name in path:
        node = node.get(name, camel(name)) if node else None
    return node


def field_entry(node: Node | None, name: str) -> Entry | None:
    """The entry of a field, in either spelling."""
    return node.entry(name, camel(name)) if node else None


def type_of(node: Node | None) -> str:
    """The message that ``@type`` names, without its host."""
    kind = node.get("@type") if node else None
    return kind.text.rpartition("/")[2] if kind else ""


def find_managers(root: Node, hints: RouteHints) -> Iterator[Manager]:
    """All connection managers, and route configurations without one."""
    clusters = _clusters(root)
    for node in walk(root):
        kind = type_of(node)
        if kind.endswith(_MANAGER):
            table = field(node, "route_config")
            routes = tuple(_streaming(table, clusters, hints))
            yield Manager(node, tuple(_filters(node)), routes)
        elif kind == _ROUTES:
            yield Manager(None, (), tuple(_streaming(node, clusters, hints)))


def unread_parts(root: Node, source: Source) -> Iterator[UnreadPart]:
    """Parts that stand elsewhere: routes, listeners and clusters that Envoy asks for."""
    for node in walk(root):
        for entry in node.entries:
            if entry.key.text in {"rds", "scoped_routes", "scopedRoutes"}:
                what = "the routes of this connection manager come from elsewhere"
            elif entry.key.text in {"dynamic_resources", "dynamicResources"}:
                what = "dynamic resources come from elsewhere"
            else:
                continue
            yield UnreadPart(source.path, source.position(entry.key.start)[0], what)


def _filters(manager: Node) -> Iterator[Filter]:
    for item in items_of(field(manager, "http_filters")):
        name, config = item.entry("name"), field(item, "typed_config")
        if name is not None and config is not None:
            yield Filter(name, config, type_of(config))


def _clusters(root: Node) -> Mapping[str, Node]:
    resources = field(root, "static_resources") or root
    listed = [*items_of(field(resources, "clusters")), *items_of(field(resources, "resources"))]
    return {name.text: one for one in listed if (name := one.get("name")) is not None}


def _streaming(
    table: Node | None, clusters: Mapping[str, Node], hints: RouteHints
) -> Iterator[Route]:
    if table is None:
        return
    for host in items_of(field(table, "virtual_hosts")):
        for node in items_of(field(host, "routes")):
            entry = node.entry("route")
            if entry is None or entry.value.kind != "map":
                continue
            names = _cluster_names(entry.value)
            used = tuple(clusters[name] for name in names if name in clusters)
            places = [place for cluster in used for place in _addresses(cluster)]
            path, match = _path(node)
            if classify_pattern(path, match, [*names, *places], hints) > StreamLikelihood.NO:
                yield Route(node, entry, (host, table), used)


def _path(route: Node) -> tuple[str, PathMatch]:
    match = route.get("match")
    for name in ("prefix", "path", "path_separated_prefix"):
        found = field(match, name)
        if found is not None:
            return found.text, PathMatch.PREFIX
    regex = field(match, "safe_regex", "regex")
    return (regex.text, PathMatch.REGEX) if regex else ("/", PathMatch.PREFIX)


def _cluster_names(action: Node) -> list[str]:
    one = action.get("cluster")
    weighted = items_of(field(action, "weighted_clusters", "clusters"))
    named = [one, *(item.get("name") for item in weighted)]
    return [node.text for node in named if node is not None]


def _addresses(cluster: Node) -> Iterator[str]:
    """``HOST:PORT`` of the endpoints."""
    for group in items_of(field(cluster, "load_assignment", "endpoints")):
        for endpoint in items_of(field(group, "lb_endpoints")):
            address = field(endpoint, "endpoint", "address", "socket_address")
            host, port = field(address, "address"), field(address, "port_value")
            if host is not None and port is not None:
                yield f"{host.text}:{port.text}"


def cluster_options(cluster: Node) -> Node | None:
    """The HTTP options of a cluster, where they hold a stream's limits."""
    options = field(cluster, "typed_extension_protocol_options")
    typed = options.get(_CLUSTER_OPTIONS) if options else None
    return field(typed or cluster, "common_http_protocol_options")
