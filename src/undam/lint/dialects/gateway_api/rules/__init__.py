"""Rules for the Gateway API and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.gateway_api.routes import GatewayRouteRule
from undam.lint.dialects.gateway_api.rules import buffering, ineffective, limits
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.resources import Resource

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *ineffective.RULES, *limits.RULES)

POLICY_KINDS = frozenset({
    "EnvoyExtensionPolicy", "EnvoyPatchPolicy", "ProxySettingsPolicy",
    *(one.kind for one in limits.POLICY_LIMITS),
})  # fmt: skip
"""Kinds of policies whose settings are checked."""


def find_in_rule(rule: GatewayRouteRule, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find all problems with a route rule that streams or may stream."""
    yield from limits.find_in_rule(rule, cluster)
    yield from ineffective.find_in_rule(rule, cluster)


def find_in_policy(
    policy: Resource, rules: Sequence[GatewayRouteRule], cluster: Cluster
) -> Iterator[Diagnostic]:
    """Find all problems with a policy that may affect streams.

    Args:
        rules: the known rules that the policy affects.
    """
    yield from buffering.find_in_policy(policy, cluster)
    yield from limits.find_in_policy(policy, rules, cluster)
