"""The Gateway API dialect: routes, and policies of several implementations."""

from __future__ import annotations

from undam.lint.diagnostics import Diagnostic, for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.gateway_api.render import render
from undam.lint.dialects.gateway_api.routes import RuleIndex, find_rules, policy_route, with_hop
from undam.lint.dialects.gateway_api.rules import (
    POLICY_KINDS,
    RULES,
    find_in_policy,
    find_in_rule,
)
from undam.lint.kubernetes.cluster import read_cluster
from undam.lint.kubernetes.resources import has_kubernetes_name, kinds_in
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "AIGatewayRoute", "LLMInferenceService"})
_GROUPS = (
    "gateway.networking.k8s.io", "gateway.envoyproxy.io", "gateway.kgateway.dev",
    "gateway.nginx.org", "networking.gke.io", "agentgateway.dev",
)  # fmt: skip


def recognises(path: str, text: str) -> bool:
    """Return whether a manifest contains a Gateway API route or a policy for routes."""
    if not has_kubernetes_name(path):
        return False
    if has_any(text, *_ROUTES) and _ROUTES & kinds_in(text):
        return True
    return has_any(text, *_GROUPS) and bool(POLICY_KINDS & kinds_in(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the route rules that stream, and the policies that affect them.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    cluster = read_cluster(source, settings)
    own = find_rules(cluster, cluster.own)
    policies = [one for one in cluster.own if one.kind in POLICY_KINDS]
    beside = find_rules(cluster, cluster.beside) if policies else []
    index = RuleIndex([*own, *beside])
    found: list[Diagnostic] = []
    routes: list[AssessedRoute] = []
    for rule in own:
        described = with_hop(rule)
        routes.append(described)
        if rule.assessed.assessment.is_considered:
            found += for_route(described, find_in_rule(rule, cluster))
    for policy in policies:
        problems = list(find_in_policy(policy, index.affected_by(policy), cluster))
        if not problems:
            continue
        affected = index.affected_by(policy)
        route = policy_route(policy, affected, cluster)
        if route is None:
            found += map(if_anything_streams, problems)
        elif route.assessment.is_considered:
            found += for_route(route, problems)
            if not affected:
                routes.append(route)
    return LintResult(unique_diagnostics(found), cluster.unread, routes=tuple(routes))


DIALECT = Dialect(
    name="gateway-api",
    title="Gateway API and Envoy Gateway",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
