"""GWA201-GWA202: timeouts that a policy makes ineffective."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.gateway_api.parser import ENVOY_GATEWAY
from undam.lint.dialects.gateway_api.routes import GatewayRouteRule, has_replaced_policy
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.resources import entry_span
from undam.rules import Severity
from undam.textfiles.tree_edit import insert_entry
from undam.versions import VersionRange

REPLACED = ConfigRule(
    code="GWA201",
    slug="gateway-policy-replaced",
    severity=Severity.ERROR,
    message=(
        "the route's policy {name} replaces the Gateway's policy {outer} and its request timeout, "
        "so Envoy Gateway cuts each response after 15 s"
    ),
    safety=Safety.UNSAFE,
    what="""
        A BackendTrafficPolicy for a route completely replaces the BackendTrafficPolicy of the
        Gateway, unless `mergeType` is set.
    """,
    why="""
        The policy of a Gateway can disable or raise the request timeout for all routes. A policy
        that is added to one route, for instance for rate limits, discards the Gateway's timeout for
        that route, so Envoy's default of 15 s applies again.
    """,
    detection="""
        A streaming route has no timeouts, its policy has neither `requestTimeout` nor `mergeType`,
        and a policy of its Gateway sets `requestTimeout`.
    """,
    fix="""
        Merge the two policies with `mergeType`. After the merge, the other settings of the
        Gateway's policy apply to the route as well.

            spec:
              mergeType: StrategicMerge
    """,
    source=(
        "gateway.envoyproxy.io, BackendTrafficPolicy, policy precedence and merging, read in "
        "2026-11"
    ),
)

RESET = ConfigRule(
    code="GWA202",
    slug="route-timeout-reset-by-policy",
    severity=Severity.ERROR,
    message=(
        "{setting} has no effect in this version, because the policy {name} resets the timeouts "
        "of the route: each response is cut after 15 s"
    ),
    safety=Safety.NONE,
    what="""
        Before version 1.1.3, Envoy Gateway discards the timeouts of an HTTPRoute as soon as any
        BackendTrafficPolicy applies to the route.
    """,
    why="The line looks like a fix, but Envoy's default of 15 s for the whole response applies.",
    detection="""
        A rule that streams sets a timeout, a BackendTrafficPolicy targets its route, and the
        version of Envoy Gateway is known to be affected (`--target envoy-gateway=1.1.2`).
    """,
    fix="""
        Update Envoy Gateway to 1.1.3, 1.2.0 or later. Until the update, remove the policy from the
        route.
    """,
    source=(
        "envoyproxy/gateway#4091 and #4426 (1.1.2), fixed by #4450 in 1.1.3 and in the release "
        "notes of 1.2.0"
    ),
)

RULES = (REPLACED, RESET)

_RESETTING = VersionRange(until="1.1.3")


def find_in_rule(rule: GatewayRouteRule, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find timeouts of Envoy Gateway that do not apply to a rule."""
    policy = rule.own_policy
    if policy is None or rule.implementation is not ENVOY_GATEWAY:
        return
    if rule.sets_timeout:
        version = cluster.settings.target("envoy-gateway")
        if version is not None and _RESETTING.contains(version):
            for entry, _ in rule.timeouts():
                span = entry_span(cluster.source, entry)
                setting = f"timeouts.{entry.key.text}"
                yield diagnostic_at(RESET, cluster.source, span, setting=setting, name=policy.name)
        return
    if not has_replaced_policy(rule):
        return
    outer = next(one for one in rule.policies if one is not policy)
    is_own = policy.source is cluster.source
    edit = (
        insert_entry(cluster.source, policy.spec, "mergeType", "StrategicMerge")
        if (is_own and policy.spec is not None)
        else None
    )
    yield diagnostic_at(
        REPLACED,
        cluster.source,
        (policy if is_own else rule.resource).span,
        *((edit,) if edit is not None else ()),
        name=policy.name,
        outer=outer.name,
    )
