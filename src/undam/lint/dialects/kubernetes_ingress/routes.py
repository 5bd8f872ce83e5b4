"""Ingresses, OpenShift Routes, and the routes of Contour, F5, APISIX and Kong.

Each becomes an `EdgeRoute`, so the rules can compare the settings of all kinds of resources.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from undam.lint.dialects.kubernetes_ingress.parser import (
    APISIX,
    CONTOUR,
    EMISSARY,
    F5,
    GKE,
    KONG,
    MILLISECONDS,
    OPENSHIFT,
    IngressController,
    controller_of,
    raised_text,
    seconds_of,
)
from undam.lint.evidence.hop import Hop, Tier, limit_s
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.ingress import ingress_hosts, ingress_paths
from undam.lint.kubernetes.resources import Resource, at, entry_at, text_at
from undam.lint.routes import AssessedRoute, RouteOutcome, assess_route
from undam.textfiles.tree import Entry, Node, items_of

_BACKEND_CONFIG = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")


@dataclass(frozen=True, slots=True, eq=False)
class EdgeLimit:
    """A time limit on a route, and its position in the configuration.

    Args:
        seconds: 0 means that there is no limit; ``None`` that the value is not known.
        entry: where it is set; ``None`` if it is the default.
        raised: the value that removes or raises it; empty if there is none.
        is_certain: a resource that was not read cannot set it.
        elsewhere: resources that can set it.
    """

    name: str
    seconds: float | None
    entry: Entry | None = None
    raised: str = ""
    is_certain: bool = True
    elsewhere: str = "the Service or its BackendConfig"


@dataclass(frozen=True, slots=True, eq=False)
class EdgeRoute:
    """A route in a resource, with the settings that affect streams.

    Args:
        anchor: the node to mark if a setting is missing.
        annotations: where a missing annotation can be inserted; ``None`` if nowhere.
        idle, total: limits on the silence and on the whole response; ``None`` if there is none.
        buffering: the entry that turns response buffering on or off.
        all_stream: every path of the resource streams.
    """

    resource: Resource
    controller: IngressController
    anchor: Node
    annotations: Node | None
    assessed: AssessedRoute
    idle: EdgeLimit | None = None
    total: EdgeLimit | None = None
    buffering: Entry | None = None
    all_stream: bool = True


def find_routes(cluster: Cluster, resources: Iterable[Resource]) -> Iterator[EdgeRoute]:
    """Yield the routes in the resources, streaming or not."""
    for one in resources:
        if one.kind == "Ingress":
            controller = controller_of(one)
            if controller is not None:
                yield _with_hop(_ingress(one, controller, cluster))
        elif one.kind == "Route" and one.group == "route.openshift.io":
            yield _with_hop(_openshift(one, cluster))
        elif one.kind == "HTTPProxy":
            yield from map(_with_hop, _http_proxy(one, cluster))
        elif one.kind in {"VirtualServer", "VirtualServerRoute"}:
            yield from map(_with_hop, _virtual_server(one, cluster))
        elif one.kind == "Mapping" and one.group == "getambassador.io":
            yield _with_hop(_mapping(one, cluster))
        elif one.kind == "ApisixRoute":
            yield from map(_with_hop, _apisix(one, cluster))


def kong_routes(root: Node, cluster: Cluster) -> Iterator[EdgeRoute]:
    """Yield the routes in a declarative Kong configuration."""
    resource = Resource(cluster.source, root, "Kong", "", "")
    for service in items_of(root.get("services")):
        url = text_at(service, "url") or text_at(service, "host")
        name = text_at(service, "name")
        entry = entry_at(service, "read_timeout")
        seconds = seconds_in(entry.value.text, bare_unit_s=MILLISECONDS) if entry else KONG.idle_s
        for route in items_of(service.get("routes")):
            paths = [path.text.lstrip("~") for path in items_of(route.get("paths"))] or ["/"]
            anchor = route.get("name") or service.get("name") or route
            assessed = _assess(
                resource, paths, [url, name], [text_at(route, "name")], anchor, cluster
            )
            yield _with_hop(
                EdgeRoute(
                    resource,
                    KONG,
                    anchor,
                    None,
                    assessed,
                    EdgeLimit("read_timeout", seconds, entry, KONG.raised if entry else ""),
                    buffering=entry_at(route, "response_buffering"),
                )
            )


def backend_config_users(resource: Resource, cluster: Cluster) -> list[str]:
    """Return the names of Services and Ingresses whose annotations refer to a resource."""
    return [
        one.name
        for one in cluster.all_of("Service", "Ingress")
        for entry in (one.annotations.entries if one.annotations else ())
        if resource.name and f'"{resource.name}"' in f'"{entry.value.text}"'.replace(",", '"')
    ]


def _ingress(one: Resource, controller: IngressController, cluster: Cluster) -> EdgeRoute:
    paths = list(ingress_paths(one))
    sites = [*ingress_hosts(one), one.name]
    found = [
        _assess(one, [each.path], [each.upstream], sites, each.node, cluster) for each in paths
    ] or [_assess(one, ["/"], [], sites, one.anchor, cluster)]
    best = max(found, key=lambda each: each.outcome)
    services = [cluster.named("Service", each.service) for each in paths]
    holders = [one, *(service for service in services if service is not None)]
    total = _annotated(holders, controller.total_keys, controller, controller.total_s)
    if controller is GKE:
        total = _backend_timeout(services, cluster)
    return EdgeRoute(
        one,
        controller,
        one.anchor,
        one.annotations,
        best,
        _annotated(holders, controller.idle_keys, controller, controller.idle_s),
        total,
        next((each for key in controller.buffering_keys if (each := one.annotation(key))), None),
        all(each.outcome is RouteOutcome.STREAMS for each in found),
    )


def _annotated(
    holders: list[Resource],
    keys: tuple[str, ...],
    controller: IngressController,
    default_s: float | None,
) -> EdgeLimit | None:
    """Return the limit in an annotation of the Ingress or of a Service, or else the default."""
    for holder in holders:
        for key in keys:
            entry = holder.annotation(key)
            seconds = seconds_of(entry, controller) if entry else None
            if entry is not None and seconds is not None:
                is_own = holder is holders[0]
                raised = raised_text(entry, controller) if is_own else ""
                return EdgeLimit(_short(key), seconds, entry if is_own else None, raised)
            if entry is not None and not key.endswith("load-balancer-attributes"):
                return EdgeLimit(_short(key), None)
    name = _short(keys[0]) if keys else "a limit"
    return None if default_s is None else EdgeLimit(name, default_s)


def _short(key: str) -> str:
    return "idle_timeout" if key.endswith("load-balancer-attributes") else key


def _backend_timeout(services: list[Resource | None], cluster: Cluster) -> EdgeLimit:
    """Return the GKE timeout for a Service, which is set in its BackendConfig."""
    default = EdgeLimit("timeoutSec", GKE.total_s, is_certain=None not in services)
    for service in services:
        if service is None:
            continue
        text = next(filter(None, map(service.annotation_text, _BACKEND_CONFIG)), "")
        if not text:
            continue
        configs = [
            one for one in cluster.all_of("BackendConfig") if f'"{one.name}"' in text and one.name
        ]
        if not configs:
            return replace(default, is_certain=False)
        entry = entry_at(configs[0].spec, "timeoutSec")
        if entry is not None:
            # If the limit is too short, it is reported at the BackendConfig instead.
            return EdgeLimit("timeoutSec", None)
    return default


def _openshift(one: Resource, cluster: Cluster) -> EdgeRoute:
    path = text_at(one.spec, "path") or "/"
    upstream = text_at(one.spec, "to", "name")
    sites = [text_at(one.spec, "host"), one.name]
    assessed = _assess(one, [path], [upstream], sites, one.anchor, cluster)
    idle = _annotated([one], OPENSHIFT.idle_keys, OPENSHIFT, OPENSHIFT.idle_s)
    return EdgeRoute(one, OPENSHIFT, one.anchor, one.annotations, assessed, idle)


def _http_proxy(one: Resource, cluster: Cluster) -> Iterator[EdgeRoute]:
    sites = [text_at(one.spec, "virtualhost", "fqdn"), one.name]
    for route in items_of(at(one.spec, "routes")):
        prefixes = [text_at(each, "prefix") for each in items_of(route.get("conditions"))]
        paths = [each for each in prefixes if each] or ["/"]
        upstreams = _services(route.get("services"), "name", "port")
        anchor = route.entries[0].key if route.entries else one.anchor
        yield EdgeRoute(
            one,
            CONTOUR,
            anchor,
            None,
            _assess(one, paths, upstreams, sites, anchor, cluster),
            _field(route, ("timeoutPolicy", "idle"), None, "3600s"),
            _field(route, ("timeoutPolicy", "response"), CONTOUR.total_s, "infinity"),
        )


def _mapping(one: Resource, cluster: Cluster) -> EdgeRoute:
    sites = [text_at(one.spec, "hostname"), one.name]
    path, upstream = text_at(one.spec, "prefix") or "/", text_at(one.spec, "service")
    return EdgeRoute(
        one,
        EMISSARY,
        one.anchor,
        None,
        _assess(one, [path], [upstream], sites, one.anchor, cluster),
        _milliseconds(one, "idle_timeout_ms", None, "3600000"),
        _milliseconds(one, "timeout_ms", EMISSARY.total_s, EMISSARY.raised),
    )


def _milliseconds(
    one: Resource, name: str, default_s: float | None, raised: str
) -> EdgeLimit | None:
    """Return a limit of a Mapping; a Module can set another default."""
    entry = entry_at(one.spec, name)
    if entry is not None:
        seconds = seconds_in(entry.value.text, bare_unit_s=MILLISECONDS)
        return EdgeLimit(name, seconds, entry, raised)
    if default_s is None:
        return None
    return EdgeLimit(name, default_s, is_certain=False, elsewhere="a Module")


def _virtual_server(one: Resource, cluster: Cluster) -> Iterator[EdgeRoute]:
    upstreams = {text_at(each, "name"): each for each in items_of(at(one.spec, "upstreams"))}
    for route in items_of(at(one.spec, "routes") or at(one.spec, "subroutes")):
        upstream = upstreams.get(text_at(route, "action", "pass"))
        if upstream is None:
            continue
        names = _services_of(upstream, "service", "port")
        anchor = route.get("path") or one.anchor
        sites = [text_at(one.spec, "host"), one.name]
        yield EdgeRoute(
            one,
            F5,
            anchor,
            None,
            _assess(one, [text_at(route, "path") or "/"], names, sites, anchor, cluster),
            _field(upstream, ("read-timeout",), F5.idle_s, "3600s"),
            buffering=entry_at(upstream, "buffering"),
        )


def _apisix(one: Resource, cluster: Cluster) -> Iterator[EdgeRoute]:
    for rule in items_of(at(one.spec, "http")):
        paths = [path.text for path in items_of(at(rule, "match", "paths"))] or ["/"]
        sites = [host.text for host in items_of(at(rule, "match", "hosts"))]
        upstreams = _services(rule.get("backends"), "serviceName", "servicePort")
        anchor = rule.get("name") or one.anchor
        yield EdgeRoute(
            one,
            APISIX,
            anchor,
            None,
            _assess(one, paths, upstreams, [*sites, one.name], anchor, cluster),
            _field(rule, ("timeout", "read"), APISIX.idle_s, "3600s"),
        )


def _field(
    node: Node, path: tuple[str, ...], default_s: float | None, raised: str
) -> EdgeLimit | None:
    """Return the limit in a field, or else the default."""
    entry = entry_at(node, *path)
    if entry is None:
        return None if default_s is None else EdgeLimit(path[-1], default_s)
    return EdgeLimit(path[-1], seconds_in(entry.value.text), entry, raised)


def _services(listing: Node | None, name: str, port: str) -> list[str]:
    return [each for one in items_of(listing) for each in _services_of(one, name, port)]


def _services_of(node: Node, name: str, port: str) -> list[str]:
    service, number = text_at(node, name), text_at(node, port)
    return [f"{service}:{number}" if number else service]


def _assess(
    resource: Resource,
    paths: list[str],
    upstreams: list[str],
    sites: list[str],
    node: Node,
    cluster: Cluster,
) -> AssessedRoute:
    found = [(path, assess_route(path, upstreams, cluster.hints, sites=sites)) for path in paths]
    path, assessment = max(found, key=lambda one: one[1].outcome)
    line, _ = resource.source.position(node.start)
    hop = Hop(
        Tier.INGRESS,
        "",
        resource.source.path,
        line,
        names=tuple(filter(None, sites)),
        upstreams=tuple(address.partition(":")[0] for address in upstreams if "/" not in address),
    )
    hint = path if path.startswith("/") else "/"
    upstream = upstreams[0] if upstreams else ""
    return AssessedRoute(resource.source.path, line, path, upstream, assessment, hint, hop)


def _with_hop(route: EdgeRoute) -> EdgeRoute:
    """Return the route, extended with a hop that has the limits of the route."""
    hop = route.assessed.hop
    assert hop is not None
    is_balancer = route.controller.name in {"aws-alb", "gke-ingress", "azure-application-gateway"}
    described = replace(
        hop,
        tier=Tier.LOAD_BALANCER if is_balancer else Tier.INGRESS,
        title=route.controller.title.removeprefix("the "),
        idle_limit_s=_hop_limit(route.idle),
        total_limit_s=_hop_limit(route.total),
        idle_at=_position(route, route.idle),
        total_at=_position(route, route.total),
    )
    return replace(route, assessed=replace(route.assessed, hop=described))


def _hop_limit(limit: EdgeLimit | None) -> float | None:
    return math.inf if limit is None else limit_s(limit.seconds)


def _position(route: EdgeRoute, limit: EdgeLimit | None) -> tuple[str, int] | None:
    if limit is None or limit.entry is None:
        return None
    return route.resource.at(limit.entry.key.start)
