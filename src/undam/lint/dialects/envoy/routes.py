"""HTTP connection managers in an Envoy configuration, with their filters and routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at, for_route
from undam.lint.dialects.envoy.parser import camel, field, type_of
from undam.lint.routes import AssessedRoute, PathMatch, RouteHints, RouteOutcome, assess_pattern
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node, items_of, walk
from undam.textfiles.tree_edit import Value, insert_entry

_MANAGER = ".HttpConnectionManager"
_ROUTES = "envoy.config.route.v3.RouteConfiguration"
_CLUSTER_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Each filter is compared with each route, so the number of filters is limited. Real filter chains
# are shorter.
_MAX_FILTERS = 50
_FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
_DISABLED: Value = {
    "@type": f"type.googleapis.com/{_FILTER_CONFIG}",
    "disabled": True,
}


@dataclass(frozen=True, slots=True)
class HttpFilter:
    """An HTTP filter of a connection manager.

    Args:
        disabled: it is off for all routes that do not turn it on.
    """

    name: Entry
    config: Node
    kind: str
    disabled: bool = False

    def is_a(self, kind: str) -> bool:
        """Return whether the filter has this type, given without the common prefix."""
        return self.kind == f"envoy.extensions.filters.http.{kind}"


@dataclass(frozen=True, slots=True, eq=False)
class EnvoyRoute:
    """A route that sends requests to a cluster.

    Args:
        entry: the entry of the action, ``route``.
        around: the virtual host and the route configuration that contain the route.
        clusters: the clusters that it may use, if the text contains them.
        addresses: the names of the clusters and the addresses of their endpoints.
        assessed: the route with its outcome.
    """

    node: Node
    entry: Entry
    around: tuple[Node, ...]
    clusters: tuple[Node, ...]
    assessed: AssessedRoute
    addresses: tuple[str, ...] = ()

    @property
    def action(self) -> Node:
        """The route action, which contains the limits."""
        return self.entry.value

    def spelled(self, name: str) -> str:
        """Return a field name in the spelling that is used in the surrounding configuration."""
        return camel(name) if any(one.entry("virtualHosts") for one in self.around) else name


@dataclass(frozen=True, slots=True, eq=False)
class ConnectionManager:
    """An HTTP connection manager in an Envoy configuration.

    Args:
        node: ``None`` for routes in a file of their own.
        routes: its routes that stream or may stream.
        others: the outcomes of its other routes.
    """

    node: Node | None
    filters: tuple[HttpFilter, ...]
    routes: tuple[EnvoyRoute, ...]
    others: tuple[AssessedRoute, ...] = ()


def find_managers(root: Node, hints: RouteHints, source: Source) -> Iterator[ConnectionManager]:
    """Yield all connection managers, then the route configurations outside any manager."""
    tables = _RouteTables(source, _clusters(root), hints)
    for node in walk(root):
        kind = type_of(node)
        if kind.endswith(_MANAGER):
            table = field(node, "route_config")
            yield tables.manager(node, tuple(_filters(node)), table)
        elif kind == _ROUTES:
            yield tables.manager(None, (), node)


def _filters(manager: Node) -> Iterator[HttpFilter]:
    for item in items_of(field(manager, "http_filters")):
        name, config = item.entry("name"), field(item, "typed_config")
        if name is not None and config is not None:
            yield HttpFilter(name, config, type_of(config), _is_true(item.get("disabled")))


def _is_true(node: Node | None) -> bool:
    return node is not None and node.text == "true"


def _clusters(root: Node) -> Mapping[str, Node]:
    resources = field(root, "static_resources") or root
    listed = [*items_of(field(resources, "clusters")), *items_of(field(resources, "resources"))]
    return {name.text: one for one in listed if (name := one.get("name")) is not None}


@dataclass(frozen=True, slots=True)
class _RouteTables:
    """Reader for the routes in an Envoy configuration."""

    source: Source
    clusters: Mapping[str, Node]
    hints: RouteHints

    def manager(
        self, node: Node | None, filters: tuple[HttpFilter, ...], table: Node | None
    ) -> ConnectionManager:
        """Return a connection manager with the routes in a route table."""
        routes = list(self._routes(table)) if table is not None else []
        considered = tuple(one for one in routes if one.assessed.assessment.is_considered)
        others = tuple(one.assessed for one in routes if one not in considered)
        return ConnectionManager(node, filters, considered, others)

    def _routes(self, table: Node) -> Iterator[EnvoyRoute]:
        for host in items_of(field(table, "virtual_hosts")):
            sites = [one.text for one in items_of(host.get("domains"))]
            for node in items_of(field(host, "routes")):
                entry = node.entry("route")
                if entry is None or entry.value.kind != "map":
                    continue
                names = _cluster_names(entry.value)
                used = tuple(self.clusters[name] for name in names if name in self.clusters)
                addresses = [one for cluster in used for one in _addresses(cluster)]
                path, match = _path(node)
                assessment = assess_pattern(
                    path, match, [*names, *addresses], self.hints, sites=sites
                )
                line, _ = self.source.position(entry.key.start)
                upstream = names[0] if names else ""
                hint = path if path.startswith("/") else "/"
                assessed = AssessedRoute(self.source.path, line, path, upstream, assessment, hint)
                servers = (*names, *addresses)
                yield EnvoyRoute(node, entry, (host, table), used, assessed, servers)


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
    """Yield the ``HOST:PORT`` addresses of a cluster's endpoints."""
    for group in items_of(field(cluster, "load_assignment", "endpoints")):
        for endpoint in items_of(field(group, "lb_endpoints")):
            address = field(endpoint, "endpoint", "address", "socket_address")
            host, port = field(address, "address"), field(address, "port_value")
            if host is not None and port is not None:
                yield f"{host.text}:{port.text}"


def cluster_options(cluster: Node) -> Node | None:
    """Return the HTTP options of a cluster, which contain its limits on streams."""
    options = field(cluster, "typed_extension_protocol_options")
    typed = options.get(_CLUSTER_OPTIONS) if options else None
    return field(typed or cluster, "common_http_protocol_options")


@dataclass(frozen=True, slots=True)
class HoldingField:
    """The field that makes a filter buffer or compress the response.

    Args:
        how: the evidence for the message of the rule.
        severity: overrides the severity of the rule.
        has_fix: the filter may be disabled for the route.
    """

    rule: ConfigRule
    entry: Entry
    how: str
    severity: Severity | None = None
    has_fix: bool = True


RouteOverride = Callable[[HttpFilter, Node, HoldingField | None], HoldingField | None]
"""Return the field that holds on a route, from the filter's settings on that route.

The last argument is the field of the filter itself."""


def overridden_completely(
    _filter: HttpFilter, _own: Node, _held: HoldingField | None
) -> HoldingField | None:
    """Return ``None``: the settings on a route replace those of the filter and do not hold."""
    return None


def find_holding_filters(
    manager: ConnectionManager,
    source: Source,
    holding_field: Callable[[HttpFilter], HoldingField | None],
    override: RouteOverride = overridden_completely,
) -> Iterator[Diagnostic]:
    """Find filters that hold the response on a streaming route.

    Args:
        holding_field: returns the field that makes a filter hold, or ``None``.
        override: returns that field for a route that has settings of its own for the filter.
    """
    for one in manager.filters[:_MAX_FILTERS] if manager.routes else ():
        held = holding_field(one)
        by_field: dict[int, tuple[HoldingField, list[EnvoyRoute]]] = {}
        for route in manager.routes:
            found = _held_on(route, one, held, override)
            if found is not None:
                by_field.setdefault(found.entry.key.start, (found, []))[1].append(route)
        for found, routes in by_field.values():
            yield from _holding(one, found, routes, source)


def _holding(
    one: HttpFilter, held: HoldingField, routes: list[EnvoyRoute], source: Source
) -> Iterator[Diagnostic]:
    """Yield the diagnostic for a filter and the routes that it holds."""
    # A filter affects every route. If any route is known to stream, routes that only may stream
    # are ignored.
    certain = [one for one in routes if one.assessed.outcome is RouteOutcome.STREAMS]
    routes = certain or routes
    edits = [edit for route in routes if (edit := _disable(source, route, one))]
    is_complete = len(edits) == len(routes) and held.rule.safety is not Safety.NONE
    found = diagnostic_at(
        held.rule,
        source,
        (held.entry.key.start, held.entry.key.end),
        *(edits if is_complete and held.has_fix else ()),
        severity=held.severity,
        how=held.how,
    )
    yield from for_route(routes[0].assessed, [found])


def _held_on(
    route: EnvoyRoute, one: HttpFilter, held: HoldingField | None, override: RouteOverride
) -> HoldingField | None:
    """Return the field that makes a filter hold on a route; ``None`` if there is none."""
    own = _own_setting(route, one)
    if own is None:
        return None if one.disabled else held
    if _is_true(own.get("disabled")):
        return None
    if type_of(own) == _FILTER_CONFIG:
        own = own.get("config") or own
        if not type_of(own) or type_of(own) == _FILTER_CONFIG:
            return held
    return override(one, own, held)


def _own_setting(route: EnvoyRoute, one: HttpFilter) -> Node | None:
    """Return the settings of a filter on the innermost level that has some."""
    weighted = items_of(field(route.action, "weighted_clusters", "clusters"))
    inner = [_setting_at(cluster, one) for cluster in weighted]
    if inner and None not in inner:
        return inner[0]
    levels = (_setting_at(node, one) for node in (route.node, *route.around))
    return next((found for found in levels if found is not None), None)


def _setting_at(node: Node, one: HttpFilter) -> Node | None:
    settings = field(node, "typed_per_filter_config")
    return settings.get(one.name.value.text) if settings is not None else None


def _disable(source: Source, route: EnvoyRoute, one: HttpFilter) -> Edit | None:
    name = one.name.value.text
    existing = field(route.node, "typed_per_filter_config")
    if existing is not None and existing.get(name) is not None:
        return None
    if existing is not None:
        return insert_entry(source, existing, name, _DISABLED)
    key = route.spelled("typed_per_filter_config")
    return insert_entry(source, route.node, key, {name: _DISABLED})
