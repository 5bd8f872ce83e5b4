"""The Istio dialect: timeouts in VirtualServices, connection pools, and EnvoyFilters."""

from __future__ import annotations

from undam.lint.diagnostics import Diagnostic, for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.istio.parser import GROUP
from undam.lint.dialects.istio.render import render
from undam.lint.dialects.istio.routes import find_routes, route_of_filter, route_to
from undam.lint.dialects.istio.rules import RULES, find_in_filter, find_in_route, limits
from undam.lint.kubernetes.cluster import read_cluster
from undam.lint.kubernetes.resources import has_kubernetes_name, kinds_in, text_at
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_KINDS = frozenset({"VirtualService", "DestinationRule", "EnvoyFilter"})


def recognises(path: str, text: str) -> bool:
    """Return whether a manifest contains a VirtualService, a DestinationRule or an EnvoyFilter."""
    return has_kubernetes_name(path) and GROUP in text and bool(_KINDS & kinds_in(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the routes that stream, and the resources that affect them.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    cluster = read_cluster(source, settings)
    own = find_routes(cluster, cluster.own)
    affecting = [*cluster.own_of("DestinationRule", "EnvoyFilter")]
    routes = [*own, *(find_routes(cluster, cluster.beside) if affecting else ())]
    found: list[Diagnostic] = []
    for one in own:
        if one.assessed.assessment.is_considered:
            found += for_route(one.assessed, find_in_route(one, source))
    for rule in cluster.own_of("DestinationRule"):
        assessed = route_to(text_at(rule.spec, "host"), rule, routes, cluster)
        if assessed.assessment.is_considered:
            found += for_route(assessed, limits.find_in_destination(rule, source))
    for envoy_filter in cluster.own_of("EnvoyFilter"):
        problems = list(find_in_filter(envoy_filter, source, cluster.settings.silence))
        affected = route_of_filter(envoy_filter, routes, cluster)
        if affected is None:
            found += map(if_anything_streams, problems)
        elif affected.assessment.is_considered:
            found += for_route(affected, problems)
    return LintResult(
        unique_diagnostics(found), cluster.unread, routes=tuple(one.assessed for one in own)
    )


DIALECT = Dialect(
    name="istio",
    title="Istio",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
