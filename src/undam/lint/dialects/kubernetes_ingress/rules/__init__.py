"""Rules for ingress controllers and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.kubernetes_ingress.routes import EdgeRoute
from undam.lint.dialects.kubernetes_ingress.rules import buffering, limits
from undam.lint.kubernetes.cluster import Cluster

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *limits.RULES)


def find_in_route(route: EdgeRoute, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find all problems with a route that streams or may stream."""
    yield from buffering.find(route, cluster.source)
    yield from limits.find_in_route(route, cluster)
