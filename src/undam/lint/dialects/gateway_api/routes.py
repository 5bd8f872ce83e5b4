"""Rules in HTTPRoutes, GRPCRoutes and AIGatewayRoutes, and the routes that a policy affects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from undam.lint.dialects.gateway_api.parser import (
    ENVOY_AI_GATEWAY,
    ENVOY_GATEWAY,
    OTHER,
    GatewayImplementation,
    has_selector,
    implementation_of,
    targets_of,
)
from undam.lint.evidence.hop import Hop, Tier, limit_s
from undam.lint.evidence.names import upstream_evidence
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import Resource, at, entry_at, text_at
from undam.lint.routes import (
    UNKNOWN,
    AssessedRoute,
    Assessment,
    PathMatch,
    RouteOutcome,
    assess_pattern,
    assess_route,
    strongest,
)
from undam.textfiles.tree import Entry, Node, items_of

ROUTE_KINDS = ("HTTPRoute", "GRPCRoute", "AIGatewayRoute")
_MODEL_SERVICE = "LLMInferenceService"
_NO_STREAM_MODEL = re.compile(r"embed|rerank|whisper|tts|moderation", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class GatewayRouteRule:
    """One rule of a route, with its matches, backends and timeouts.

    Args:
        node: the rule.
        gateways: names of the Gateways that the route is attached to.
        implementation: the controller that serves it; ``None`` if no resource identifies it.
        policies: known BackendTrafficPolicies of Envoy Gateway for the route, then those for its
            Gateways.
        assessed: the rule with its outcome.
    """

    resource: Resource
    node: Node
    gateways: tuple[str, ...]
    implementation: GatewayImplementation | None
    policies: tuple[Resource, ...]
    assessed: AssessedRoute

    def timeouts(self) -> Iterator[tuple[Entry, float]]:
        """Yield the timeouts that are set in the rule, with their values in seconds."""
        for key in ("request", "backendRequest"):
            entry = entry_at(self.node, "timeouts", key)
            seconds = seconds_in(entry.value.text) if entry else None
            if entry is not None and seconds is not None:
                yield entry, seconds

    @property
    def sets_timeout(self) -> bool:
        """True if the rule has a timeout entry, even if the value is a placeholder."""
        return any(
            entry_at(self.node, "timeouts", key) is not None
            for key in ("request", "backendRequest")
        )

    @property
    def own_policy(self) -> Resource | None:
        """The policy that targets the route itself, if any."""
        return next((one for one in self.policies if _names_route(one, self.resource)), None)

    def is_target_of(self, policy: Resource) -> bool:
        """Return whether a policy targets the route, one of its Gateways or one of its backends."""
        backends = [name.partition(":")[0] for name in backends_of(self.node)]
        return any(
            target.name
            in (
                [self.resource.name]
                if target.kind in ROUTE_KINDS
                else self.gateways
                if target.kind == "Gateway"
                else backends
            )
            for target in targets_of(policy)
        )


def find_rules(cluster: Cluster, resources: Iterable[Resource]) -> list[GatewayRouteRule]:
    """Return the rules of all routes among the resources, streaming or not."""
    found = []
    policies = _policies_by_target(cluster)
    for one in resources:
        if one.kind not in {*ROUTE_KINDS, _MODEL_SERVICE}:
            continue
        gateways = tuple(
            text_at(ref, "name")
            for ref in items_of(at(one.spec, "parentRefs") or at(one.spec, "targetRefs"))
            if text_at(ref, "kind") in {"", "Gateway"}
        )
        implementation = implementation_of(gateways, cluster)
        if one.kind == "AIGatewayRoute":
            implementation = ENVOY_AI_GATEWAY
        rules = at(one.spec, "rules")
        if one.kind == _MODEL_SERVICE:
            # KServe disables the timeouts on the routes that it generates.
            implementation = OTHER
            rules = at(one.spec, "router", "route", "http", "spec", "rules")
        applying = tuple(_policies_of(one, gateways, policies))
        for rule in items_of(rules):
            assessed = _assess(one, rule, cluster)
            found.append(GatewayRouteRule(one, rule, gateways, implementation, applying, assessed))
    return found


class RuleIndex:
    """Index of all route rules by the resources that a policy can target."""

    def __init__(self, rules: Iterable[GatewayRouteRule]) -> None:
        self._by_target: dict[tuple[str, str], list[GatewayRouteRule]] = {}
        for one in rules:
            names = [("route", one.resource.name), *(("Gateway", name) for name in one.gateways)]
            names += [("Service", name.partition(":")[0]) for name in backends_of(one.node)]
            for name in dict.fromkeys(names):
                self._by_target.setdefault(name, []).append(one)

    def affected_by(self, policy: Resource) -> list[GatewayRouteRule]:
        """Return the rules whose route, Gateway or backend is a target of the policy."""
        found: dict[int, GatewayRouteRule] = {}
        for target in targets_of(policy):
            kind = "Gateway" if target.kind == "Gateway" else "Service"
            kind = "route" if target.kind in ROUTE_KINDS else kind
            for one in self._by_target.get((kind, target.name), ()):
                found[id(one)] = one
        return list(found.values())


def policy_route(
    policy: Resource, rules: Sequence[GatewayRouteRule], cluster: Cluster
) -> AssessedRoute | None:
    """Return the route that is most likely to stream among those that a policy affects.

    Without a known route, the names of the targets and of the policy decide. ``None`` means that
    the names show nothing, so any route may be affected.

    Args:
        rules: the known rules that the policy affects.
    """
    if rules:
        return max((one.assessed for one in rules), key=lambda one: one.outcome)
    names = [target.name for target in targets_of(policy)]
    assessment = assess_route("/", names, cluster.hints, sites=[policy.name, *names])
    if not assessment.is_considered and not _are_other_programs(names):
        return None
    upstream = names[0] if names else ""
    return AssessedRoute(cluster.source.path, policy.line, "/", upstream, assessment)


def backends_of(rule: Node) -> list[str]:
    """Return the backends of a rule, each as ``name:port``."""
    found = []
    for ref in items_of(rule.get("backendRefs")):
        port = text_at(ref, "port")
        found.append(text_at(ref, "name") + (f":{port}" if port else ""))
    return found


def with_hop(rule: GatewayRouteRule) -> AssessedRoute:
    """Return the assessed route of a rule with its hop, which is used to build request paths."""
    total_s, total_at = _total_limit(rule)
    implementation = rule.implementation
    idle_s = implementation.idle_s if implementation else None
    if implementation is ENVOY_GATEWAY and total_at is not None and total_s is not None:
        # In Envoy Gateway, a request timeout raises the idle timeout to at least one hour.
        idle_s = max(3600.0, total_s)
    hop = Hop(
        Tier.INGRESS,
        implementation.title if implementation else "Gateway API",
        rule.resource.source.path,
        rule.assessed.line,
        names=tuple(filter(None, (rule.resource.name, *rule.gateways, *_hosts(rule.resource)))),
        upstreams=tuple(one.partition(":")[0] for one in backends_of(rule.node)),
        idle_limit_s=idle_s,
        total_limit_s=total_s,
        buffers=False if implementation and implementation.total_s else None,
        total_at=total_at,
    )
    return replace(rule.assessed, hop=hop)


def request_timeout_of(policy: Resource) -> tuple[Entry, float | None] | None:
    """Return the request timeout in a BackendTrafficPolicy, and its value in seconds."""
    entry = entry_at(policy.spec, "timeout", "http", "requestTimeout")
    return None if entry is None else (entry, seconds_in(entry.value.text))


def merges(policy: Resource) -> bool:
    """Return whether a policy is merged with the Gateway's policy instead of replacing it."""
    return bool(text_at(policy.spec, "mergeType"))


def has_replaced_policy(rule: GatewayRouteRule) -> bool:
    """Return whether a route's policy replaces a Gateway policy that sets a timeout."""
    own = rule.own_policy
    if own is None or rule.implementation is not ENVOY_GATEWAY or merges(own):
        return False
    outer = next((one for one in rule.policies if one is not own), None)
    return (
        outer is not None
        and request_timeout_of(own) is None
        and (request_timeout_of(outer) is not None)
    )


def _total_limit(rule: GatewayRouteRule) -> tuple[float | None, tuple[str, int] | None]:
    """Return the limit on the whole response, and the file and line that set it."""
    own = [(limit_s(seconds), entry) for entry, seconds in rule.timeouts()]
    limits = [(seconds, entry) for seconds, entry in own if seconds is not None]
    if limits:
        seconds, entry = min(limits, key=lambda one: one[0])
        return seconds, rule.resource.at(entry.key.start)
    if rule.sets_timeout:
        return None, None
    for policy in rule.policies:
        found = request_timeout_of(policy)
        if found is not None:
            return limit_s(found[1]), policy.at(found[0].key.start)
    implementation = rule.implementation
    if implementation is None:
        return None, None
    return (implementation.total_s or float("inf")), None


def _policies_by_target(cluster: Cluster) -> dict[tuple[bool, str], list[Resource]]:
    """Return the BackendTrafficPolicies, keyed by target kind and target name.

    Those that select their targets by labels are listed under a Gateway with an empty name.
    """
    found: dict[tuple[bool, str], list[Resource]] = {}
    for one in cluster.all_of("BackendTrafficPolicy"):
        keys = [(ref.kind == "Gateway", ref.name) for ref in targets_of(one)]
        if has_selector(one):
            keys.append((True, ""))
        for key in dict.fromkeys(keys):
            found.setdefault(key, []).append(one)
    return found


def _policies_of(
    route: Resource,
    gateways: tuple[str, ...],
    policies: Mapping[tuple[bool, str], Sequence[Resource]],
) -> Iterator[Resource]:
    """Yield the BackendTrafficPolicies that target a route, then those that target its Gateways."""
    yield from policies.get((False, route.name), ())
    for name in (*gateways, ""):
        yield from policies.get((True, name), ())


def _names_route(policy: Resource, route: Resource) -> bool:
    return any(
        target.kind in ROUTE_KINDS and target.name == route.name for target in targets_of(policy)
    )


def _assess(route: Resource, rule: Node, cluster: Cluster) -> AssessedRoute:
    backends = backends_of(rule)
    sites = [*_hosts(route), route.name]
    found: list[tuple[str, Node | None, Assessment]] = []
    for path, match, node in _paths(rule):
        assessment = assess_pattern(path, match, backends, cluster.hints, sites=sites)
        if not cluster.settings.stream_paths:
            if _has_no_stream_models(rule):
                assessment = UNKNOWN
            elif assessment == UNKNOWN or assessment.is_considered:
                assessment = strongest((assessment, _of_model_pool(route, rule)))
        found.append((path, node, assessment))
    path, node, assessment = max(found, key=lambda one: one[2].outcome)
    line, _ = route.source.position((node or _first_node(rule)).start)
    hint = path if path.startswith("/") else "/"
    upstream = backends[0] if backends else ""
    return AssessedRoute(route.source.path, line, path, upstream, assessment, hint)


def _of_model_pool(route: Resource, rule: Node) -> Assessment:
    """Assess a rule as streaming if it leads to model servers, regardless of the backend names."""
    kinds = {text_at(ref, "kind") for ref in items_of(rule.get("backendRefs"))}
    if "InferencePool" in kinds or "AIServiceBackend" in kinds:
        phrase = "its backend is a pool of model servers"
    elif route.kind == "AIGatewayRoute":
        phrase = "an AIGatewayRoute carries requests to model APIs"
    elif route.kind == _MODEL_SERVICE:
        phrase = "an LLMInferenceService runs a language model"
    else:
        return UNKNOWN
    return Assessment(RouteOutcome.STREAMS, (phrase,))


def _has_no_stream_models(rule: Node) -> bool:
    """Return whether a rule matches only model names that indicate non-generative models."""
    models = [
        text_at(header, "value")
        for match in items_of(rule.get("matches"))
        for header in items_of(match.get("headers"))
        if "model" in text_at(header, "name")
    ]
    return bool(models) and all(_NO_STREAM_MODEL.search(model) for model in models)


def _paths(rule: Node) -> Iterator[tuple[str, PathMatch, Node | None]]:
    """Yield the paths that a rule matches, or "/" if it matches every path."""
    matches = list(items_of(rule.get("matches")))
    for match in matches:
        path = match.get("path")
        value = at(path, "value")
        if value is not None:
            is_regex = text_at(path, "type") == "RegularExpression"
            yield value.text, PathMatch.REGEX if is_regex else PathMatch.PREFIX, value
        elif (method := match.get("method")) is not None and method.kind == "map":
            service = text_at(method, "service")
            yield f"/{service}/{text_at(method, 'method')}", PathMatch.PREFIX, method
        else:
            yield "/", PathMatch.PREFIX, match
    if not matches:
        yield "/", PathMatch.PREFIX, None


def _first_node(rule: Node) -> Node:
    return rule.entries[0].key if rule.entries else rule


def _hosts(route: Resource) -> list[str]:
    return [one.text for one in items_of(at(route.spec, "hostnames"))]


def _are_other_programs(names: Iterable[str]) -> bool:
    """Return whether every name belongs to a known program that is not a model server."""
    scores = [upstream_evidence(name).score for name in names if name]
    return bool(scores) and all(score < 0 for score in scores)
