"""Routes in IngressRoutes, and Ingresses that use Traefik middlewares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.dialects.traefik.routes import rule_hosts, rule_paths
from undam.lint.dialects.traefik_crd.parser import (
    MIDDLEWARES,
    MiddlewareUse,
    middlewares_of,
    references_in,
    references_in_annotation,
)
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.ingress import ingress_hosts, ingress_paths
from undam.lint.kubernetes.resources import Resource, at, entry_at, text_at
from undam.lint.routes import AssessedRoute, PathMatch, assess_pattern, assess_route, strongest
from undam.textfiles.tree import Entry, Node, items_of


@dataclass(frozen=True, slots=True, eq=False)
class IngressRouteRule:
    """One route in an IngressRoute, or an Ingress that Traefik serves.

    Args:
        services: the services of the route.
        middlewares: the known middlewares that it uses.
        assessed: the route with its outcome.
    """

    resource: Resource
    services: tuple[Node, ...]
    middlewares: tuple[MiddlewareUse, ...]
    assessed: AssessedRoute


def find_routes(cluster: Cluster, resources: Iterable[Resource]) -> list[IngressRouteRule]:
    """Return the routes among the resources, streaming or not."""
    found: list[IngressRouteRule] = []
    for one in resources:
        if one.kind == "IngressRoute":
            found += (_route(one, node, cluster) for node in items_of(at(one.spec, "routes")))
        elif one.kind == "Ingress" and (entry := one.annotation(MIDDLEWARES)) is not None:
            found.append(_ingress(one, entry, cluster))
    return found


def _route(resource: Resource, node: Node, cluster: Cluster) -> IngressRouteRule:
    services = tuple(items_of(node.get("services")))
    names = [_upstream(one) for one in services]
    match = text_at(node, "match")
    sites = [*rule_hosts(match), resource.name]
    paths = list(rule_paths(match)) or [("/", PathMatch.PREFIX)]
    assessment = strongest(
        assess_pattern(path, kind, names, cluster.hints, sites=sites) for path, kind in paths
    )
    key = node.get("match") or (node.entries[0].key if node.entries else node)
    line, _ = resource.source.position(key.start)
    references = references_in(entry_at(node, "middlewares"))
    used = tuple(middlewares_of(references, cluster))
    path = paths[0][0]
    hint = path if path.startswith("/") else "/"
    hop = _hop(resource, line, sites, names, used)
    assessed = AssessedRoute(
        resource.source.path, line, path, names[0] if names else "", assessment, hint, hop
    )
    return IngressRouteRule(resource, services, used, assessed)


def _ingress(resource: Resource, entry: Entry, cluster: Cluster) -> IngressRouteRule:
    sites = [*ingress_hosts(resource), resource.name]
    paths = list(ingress_paths(resource))
    found = [
        (one.path, one.upstream, assess_route(one.path, [one.upstream], cluster.hints, sites=sites))
        for one in paths
    ] or [("/", "", assess_route("/", (), cluster.hints, sites=sites))]
    path, upstream, assessment = max(found, key=lambda one: one[2].outcome)
    used = tuple(middlewares_of(references_in_annotation(entry), cluster))
    hop = _hop(resource, resource.line, sites, [one.service for one in paths], used)
    assessed = AssessedRoute(
        resource.source.path, resource.line, path, upstream, assessment, path, hop
    )
    return IngressRouteRule(resource, (), used, assessed)


def _hop(
    resource: Resource,
    line: int,
    names: list[str],
    upstreams: list[str],
    used: tuple[MiddlewareUse, ...],
) -> Hop:
    kinds = set(_middleware_kinds(used))
    return Hop(
        Tier.INGRESS,
        "Traefik",
        resource.source.path,
        line,
        names=tuple(filter(None, names)),
        upstreams=tuple(one.partition(":")[0] for one in upstreams),
        idle_limit_s=math.inf,
        total_limit_s=math.inf,
        buffers="buffering" in kinds,
        compresses="compress" in kinds,
    )


def _middleware_kinds(used: Iterable[MiddlewareUse]) -> Iterator[str]:
    for one in used:
        yield from (entry.key.text for entry in (one.resource.spec or one.resource.node).entries)


def _upstream(service: Node) -> str:
    port = text_at(service, "port")
    name = text_at(service, "name")
    return f"{name}:{port}" if port else name
