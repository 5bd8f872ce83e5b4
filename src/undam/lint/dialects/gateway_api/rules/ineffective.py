"""Rules GWA201-GWA202: timeouts that have no effect because of a policy."""

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
        "the route's policy {name} replaces the Gateway's policy {outer}, including its request "
        "timeout, so Envoy Gateway cuts off each response after 15 s"
    ),
    safety=Safety.UNSAFE,
    what="""
        A route's BackendTrafficPolicy completely replaces the Gateway's BackendTrafficPolicy unless
        `mergeType` is set.
    """,
    why="""
        A Gateway's policy can disable or raise the request timeout for all routes. A policy that is
        added to one route, for example for rate limiting, overrides the Gateway's policy. Envoy's
        default timeout of 15 s then applies to that route again.
    """,
    detection="""
        A streaming route does not set timeouts, and its policy sets neither `requestTimeout` nor
        `mergeType`. The Gateway's policy, which the route's policy replaces, sets `requestTimeout`.
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
        Before version 1.1.3, Envoy Gateway discards the timeouts of an HTTPRoute if any
        BackendTrafficPolicy applies to the route.
    """,
    why="""
        The timeout looks like a fix, but Envoy still applies its default limit of 15 s to the whole
        response.
    """,
    detection="""
        A streaming rule sets a timeout, and a BackendTrafficPolicy targets the rule's route. The
        Envoy Gateway version is known to be affected (for instance `--target envoy-gateway=1.1.2`).
    """,
    fix="""
        Update Envoy Gateway to version 1.1.3 or later. Until the update, remove the policy from the
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
    """Find Envoy Gateway timeouts that do not apply to a route rule."""
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
