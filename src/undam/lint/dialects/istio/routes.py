"""HTTP routes in VirtualServices, and the routes that other Istio resources affect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from undam.lint.dialects.istio.parser import destinations_of, paths_of, service_name
from undam.lint.evidence.hop import Hop, Tier, limit_s
from undam.lint.evidence.names import upstream_evidence
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import Resource, at, entry_at
from undam.lint.routes import AssessedRoute, assess_pattern, assess_route
from undam.textfiles.tree import Node, items_of


@dataclass(frozen=True, slots=True, eq=False)
class MeshRoute:
    """One HTTP route in a VirtualService.

    Args:
        assessed: the route with its outcome.
    """

    resource: Resource
    node: Node
    assessed: AssessedRoute


def find_routes(cluster: Cluster, resources: Iterable[Resource]) -> list[MeshRoute]:
    """Return the HTTP routes in VirtualServices among the resources, streaming or not."""
    found: list[MeshRoute] = []
    for one in resources:
        if one.kind != "VirtualService":
            continue
        hosts = [host.text for host in items_of(at(one.spec, "hosts"))]
        found += (
            MeshRoute(one, node, _assess(one, node, hosts, cluster))
            for node in items_of(at(one.spec, "http"))
            if node.get("redirect") is None and node.get("directResponse") is None
        )
    return found


def _assess(
    resource: Resource, route: Node, hosts: Sequence[str], cluster: Cluster
) -> AssessedRoute:
    upstreams = destinations_of(route)
    names = [*upstreams, *map(service_name, upstreams)]
    sites = [*hosts, resource.name]
    found = [
        (path, node, assess_pattern(path, match, names, cluster.hints, sites=sites))
        for path, match, node in paths_of(route)
    ]
    path, node, assessment = max(found, key=lambda one: one[2].outcome)
    key = route.entries[0].key if route.entries else route
    line, _ = resource.source.position((node or key).start)
    timeout = entry_at(route, "timeout")
    seconds = seconds_in(timeout.value.text) if timeout else 0.0
    hop = Hop(
        Tier.INGRESS if at(resource.spec, "gateways") is not None else Tier.PROXY,
        "Istio",
        resource.source.path,
        line,
        names=tuple(filter(None, (resource.name, *hosts))),
        upstreams=tuple(map(service_name, upstreams)),
        idle_limit_s=math.inf,
        total_limit_s=limit_s(seconds),
        buffers=False,
        total_at=resource.at(timeout.key.start) if timeout else None,
    )
    hint = path if path.startswith("/") else "/"
    upstream = upstreams[0] if upstreams else ""
    return AssessedRoute(resource.source.path, line, path, upstream, assessment, hint, hop)


def route_to(
    host: str, resource: Resource, routes: Sequence[MeshRoute], cluster: Cluster
) -> AssessedRoute:
    """Return the assessed route to a host. Without a known route, the host name is assessed."""
    name = service_name(host)
    for one in routes:
        if name in map(service_name, destinations_of(one.node)):
            return one.assessed
    assessment = assess_route("/", [host, name], cluster.hints, sites=[resource.name])
    return AssessedRoute(cluster.source.path, resource.line, "/", host, assessment)


def route_of_filter(
    resource: Resource, routes: Sequence[MeshRoute], cluster: Cluster
) -> AssessedRoute | None:
    """Return the assessed route to the workloads that an EnvoyFilter selects.

    ``None`` means that it applies to every workload or gateway, and that no known route streams.
    """
    selector = at(resource.spec, "workloadSelector", "labels")
    labels = [entry.value.text for entry in (selector.entries if selector else ())]
    names = [label for label in labels if "gateway" not in label]
    if names:
        assessment = assess_route("/", names, cluster.hints, sites=[resource.name])
        if assessment.is_considered or all(upstream_evidence(one).score < 0 for one in names):
            return AssessedRoute(cluster.source.path, resource.line, "/", names[0], assessment)
    considered = [one.assessed for one in routes if one.assessed.assessment.is_considered]
    if considered:
        return max(considered, key=lambda one: one.outcome)
    assessment = assess_route("/", (), cluster.hints, sites=[resource.name])
    if not assessment.is_considered:
        return None
    return AssessedRoute(cluster.source.path, resource.line, "/", "", assessment)
