"""GWA401-GWA407: limits on the duration and the silence of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from undam.lint.diagnostics import (
    ConfigRule,
    Diagnostic,
    Safety,
    diagnostic_at,
    with_unread_part,
)
from undam.lint.dialects.gateway_api.parser import ENVOY_AI_GATEWAY
from undam.lint.dialects.gateway_api.routes import (
    GatewayRouteRule,
    request_timeout_of,
)
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.envoy_config import PatchedLimit, json_patch_limit, patched_limits
from undam.lint.kubernetes.resources import Resource, at, entry_at, entry_span
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.tree import items_of
from undam.textfiles.tree_edit import insert_entry, replace_value

_WHY_TOTAL = """
    A longer stream is cut while tokens are still arriving, and heartbeats do not prevent it.
"""

DEFAULT_TIMEOUT = ConfigRule(
    code="GWA401",
    slug="route-timeout-default",
    severity=Severity.ERROR,
    message="this rule has no timeout of its own: {default}",
    safety=Safety.SAFE,
    what="""
        The Gateway API leaves the timeout of a rule without `timeouts` to the implementation. The
        default covers the whole response: 15 s in Envoy Gateway, kgateway and Contour, 30 s in GKE,
        and 60 s for an AIGatewayRoute of Envoy AI Gateway. Istio, Traefik and agentgateway have
        none.
    """,
    why=_WHY_TOTAL,
    detection="""
        The rule streams and has no timeout, and no known policy sets one. The GatewayClass, the
        name of the Gateway or the policies beside it show the implementation; if they do not, the
        severity is info.
    """,
    measured="""
        Envoy 1.40 with a route without `timeout`, as Envoy Gateway generates it for such a rule:
        events arrived until 15 s, then the connection was closed (ENV401). With `timeout: 0s` and
        `idle_timeout: 0s`, as it generates them for `request: 0s`, the stream was complete.
    """,
    fix="""
        Remove the timeout. In Envoy Gateway, `0s` also disables the limit on silence of 5 min.
        On GKE, set `timeoutSec` in a GCPBackendPolicy instead.

            timeouts:
              request: 0s
    """,
    source=(
        "measured on loopback with Envoy 1.40; gateway.envoyproxy.io, HTTP timeouts; kgateway.dev, "
        "request timeouts; projectcontour.io; ai-gateway#795 (60 s); reports nvcf#1060 (15.006 s), "
        "modelplane#174, LLMKube#734; all read 2026-11"
    ),
)

TIMEOUT = ConfigRule(
    code="GWA402",
    slug="route-timeout",
    severity=Severity.ERROR,
    message="timeouts.{setting} {limit} limits the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `timeouts.request` covers the whole response. So does `timeouts.backendRequest`, for each
        request to a backend.
    """,
    why=_WHY_TOTAL,
    detection="""
        The rule streams, and a timeout is above 0 and below one hour. Up to one minute it is an
        error, because long answers take longer; above, a warning.
    """,
    fix="""
        Remove the limit unless it was set for another reason. A change to a rule affects all its
        matches.

            timeouts:
              request: 0s
              backendRequest: 0s
    """,
    source=(
        "gateway-api.sigs.k8s.io, HTTPRouteTimeouts (GEP-1742); reports LLMKube#734, aibrix#1176 "
        "(120 s); read 2026-11"
    ),
)

POLICY_TIMEOUT = ConfigRule(
    code="GWA403",
    slug="policy-timeout",
    severity=Severity.ERROR,
    message="{setting} {limit} of this {kind} limits the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `requestTimeout` and `maxStreamDuration` of a BackendTrafficPolicy, `timeouts.request` of a
        TrafficPolicy of kgateway, `timeoutSec` of a GCPBackendPolicy, and limits that an
        EnvoyPatchPolicy sets, cover the whole response.
    """,
    why=_WHY_TOTAL,
    detection="""
        The policy affects a streaming route, and the limit is above 0 and below one hour. Up to one
        minute it is reported as an error; above that, as a warning. The `timeouts` of a rule take
        precedence over `requestTimeout`, so the policy is not reported if all its streaming rules
        have their own. If it is not known whether its routes stream, the severity is info.
    """,
    fix="""
        Remove the limit, or raise it where 0 is not allowed (GCPBackendPolicy: 3600). This affects
        every route that the policy targets.

            timeout:
              http:
                requestTimeout: 0s
    """,
    source=(
        "gateway.envoyproxy.io, HTTP and gRPC timeouts; envoyproxy/gateway#4329 (precedence); "
        "kgateway.dev, request timeouts; cloud.google.com, GCPBackendPolicy; read 2026-11"
    ),
)

POLICY_IDLE = ConfigRule(
    code="GWA404",
    slug="policy-idle-timeout",
    severity=Severity.ERROR,
    message=(
        "{setting} {limit} of this {kind} cuts a stream that is silent for that long, {expected}"
    ),
    safety=Safety.UNSAFE,
    what="""
        `streamIdleTimeout` of a ClientTrafficPolicy, BackendTrafficPolicy, listener policy or
        AIGatewayRoute, `timeouts.streamIdle` of a TrafficPolicy, `timeout.read` of a
        ProxySettingsPolicy, and `perRetry.idleTimeout` end a stream without activity.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        The policy affects a streaming route, and the limit is below the expected silence (setting
        `silence`, 300 s by default). If heartbeats are known, the limit is below two heartbeat
        intervals instead. Up to one interval it is reported as an error; above that, as a warning.
        Limits on idle connections, which count only time without any request, are not reported.
    """,
    fix="""
        Raise the limit, or send heartbeats more often.

            timeout:
              http:
                streamIdleTimeout: 3600s
    """,
    source=(
        "gateway.envoyproxy.io, ClientTrafficPolicy and BackendTrafficPolicy, API reference; "
        "docs.nginx.com, ProxySettingsPolicy; kgateway.dev, idle stream timeouts; read 2026-11"
    ),
)

RETRY = ConfigRule(
    code="GWA405",
    slug="per-retry-timeout",
    severity=Severity.WARNING,
    message="perRetry.timeout {limit} aborts a request whose response head comes later",
    safety=Safety.UNSAFE,
    what="""
        `retry.perRetry.timeout` becomes Envoy's per_try_timeout: it aborts an attempt whose
        response has not begun, and retries the request.
    """,
    why="""
        Many servers send the response head with the first token. After a long prefill the model
        processes the whole prompt again for each attempt, which adds to the load that made it slow.
    """,
    detection="""
        A BackendTrafficPolicy for a streaming route has a limit above 0 and of at most one minute.
        The limit does not cut a response that has begun.
    """,
    measured="""
        Envoy 1.40 with 1s, in front of a server whose head comes after 2.5 s: 504; once the head
        had passed, 2s did not cut a stream of 6 s (ENV406).
    """,
    fix="""
        Raise the limit unless it was set for another reason.

            retry:
              perRetry:
                timeout: 600s
    """,
    source="measured on loopback with Envoy 1.40; gateway.envoyproxy.io, PerRetryPolicy",
)

DEFAULT_IDLE = ConfigRule(
    code="GWA406",
    slug="idle-timeout-default",
    severity=Severity.WARNING,
    message=(
        "{title} cuts a stream that is silent for {limit}, {expected}, and nothing here raises it"
    ),
    safety=Safety.NONE,
    what="""
        NGINX Gateway Fabric, Kong and Apache APISIX are built on nginx and cut a response after
        60 s without data, if nothing else is configured.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        The rule streams, one of these implementations serves it, and no known ProxySettingsPolicy
        or Service sets a read timeout. The limit is compared with the expected silence.
    """,
    fix="""
        Raise the limit: in NGINX Gateway Fabric with a ProxySettingsPolicy, in Kong with the
        annotation konghq.com/read-timeout of the Service, in APISIX with a BackendTrafficPolicy.

            kind: ProxySettingsPolicy
            spec:
              timeout:
                read: 3600s
    """,
    source=(
        "nginx/nginx-gateway-fabric 2.6.7 (2026-07-15); Kong/kong (2026-07-01), "
        "nginx_kong.lua; apache/apisix (2026-08-20), ngx_tpl.lua"
    ),
)

DRAIN = ConfigRule(
    code="GWA407",
    slug="proxy-drain-timeout",
    severity=Severity.INFO,
    message="drainTimeout {limit}: streams that are still open after this time are cut",
    safety=Safety.UNSAFE,
    what="""
        `shutdown.drainTimeout` of an EnvoyProxy is the time that a pod of the gateway has to finish
        its open requests when it is stopped, 60 s by default.
    """,
    why="""
        Each time the gateway is updated or scaled down, the streams that are still open after this
        time are cut, even while data is arriving. Heartbeats do not help.
    """,
    detection="""
        The time is below 60 s. The severity is info, because the resource does not show which
        routes stream.
    """,
    fix="""
        Raise the time. Pods of the gateway then take longer to stop.

            shutdown:
              drainTimeout: 600s
    """,
    source="gateway.envoyproxy.io, EnvoyProxy, ShutdownConfig, read 2026-11",
)

RULES = (DEFAULT_TIMEOUT, TIMEOUT, POLICY_TIMEOUT, POLICY_IDLE, RETRY, DEFAULT_IDLE, DRAIN)

# If the head takes a minute, the cause is not the model.
_SLOW_HEAD_S = 60.0
_DEFAULT_DRAIN_S = 60.0
_UNKNOWN_DEFAULT = (
    "the default of the Gateway's controller applies, but no file shows which one (Envoy Gateway, "
    "kgateway and Contour cut each response after 15 s, GKE after 30 s, Istio not at all)"
)
_READ_TIMEOUTS = (
    "konghq.com/read-timeout", "k8s.apisix.apache.org/upstream-read-timeout",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PolicyLimit:
    """A setting of a policy that limits streams.

    Args:
        path: keys below `spec`.
        rule: the rule about it.
        raised: the value that removes or raises the limit.
    """

    kind: str
    path: tuple[str, ...]
    rule: ConfigRule
    raised: str

    @property
    def setting(self) -> str:
        return ".".join(self.path[-2:]) if self.path[-2:-1] == ("perRetry",) else self.path[-1]


_BTP = "BackendTrafficPolicy"
POLICY_LIMITS = (
    PolicyLimit(_BTP, ("timeout", "http", "requestTimeout"), POLICY_TIMEOUT, "0s"),
    PolicyLimit(_BTP, ("timeout", "http", "maxStreamDuration"), POLICY_TIMEOUT, "0s"),
    PolicyLimit(_BTP, ("timeout", "http", "streamIdleTimeout"), POLICY_IDLE, "3600s"),
    PolicyLimit(_BTP, ("retry", "perRetry", "idleTimeout"), POLICY_IDLE, "3600s"),
    PolicyLimit(_BTP, ("retry", "perRetry", "timeout"), RETRY, "600s"),
    PolicyLimit(
        "ClientTrafficPolicy", ("timeout", "http", "streamIdleTimeout"), POLICY_IDLE, "3600s"
    ),
    PolicyLimit("TrafficPolicy", ("timeouts", "request"), POLICY_TIMEOUT, "0s"),
    PolicyLimit("TrafficPolicy", ("timeouts", "streamIdle"), POLICY_IDLE, "3600s"),
    PolicyLimit("HTTPListenerPolicy", ("streamIdleTimeout",), POLICY_IDLE, "3600s"),
    PolicyLimit(
        "ListenerPolicy", ("default", "httpSettings", "streamIdleTimeout"), POLICY_IDLE, "3600s"
    ),
    PolicyLimit("ProxySettingsPolicy", ("timeout", "read"), POLICY_IDLE, "3600s"),
    PolicyLimit("GCPBackendPolicy", ("default", "timeoutSec"), POLICY_TIMEOUT, "3600"),
    PolicyLimit("EnvoyProxy", ("shutdown", "drainTimeout"), DRAIN, "600s"),
)
"""The settings of policies that limit streams."""


def find_in_rule(rule: GatewayRouteRule, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find timeouts of a rule that cut streams: its own, or the default if it sets none."""
    source = cluster.source
    for entry, seconds in rule.timeouts():
        severity = total_limit_severity(seconds)
        if severity is not None:
            edit = replace_value(source, entry.value, "0s")
            yield diagnostic_at(
                TIMEOUT,
                source,
                entry_span(source, entry),
                *_edits(edit),
                severity=severity,
                setting=entry.key.text,
                limit=entry.value.text,
            )
    silent = entry_at(rule.node, "streamIdleTimeout")
    idle_s = seconds_in(silent.value.text) if silent else None
    if silent is not None and idle_s is not None:
        found = PatchedLimit(silent, "streamIdleTimeout", idle_s, is_idle=True)
        yield from _limit(POLICY_IDLE, rule.resource, found, cluster, "3600s")
    yield from _find_defaults(rule, cluster)


def _find_defaults(rule: GatewayRouteRule, cluster: Cluster) -> Iterator[Diagnostic]:
    implementation = rule.implementation
    if implementation is not None and implementation.idle_s and not implementation.total_s:
        yield from _find_default_idle(rule, cluster, implementation.title, implementation.idle_s)
    obeyed = implementation is None or implementation.is_route_obeyed
    if (rule.sets_timeout and obeyed) or _has_policy_timeout(rule, cluster):
        return
    if implementation is None:
        severity: Severity | None = Severity.INFO
        default = _UNKNOWN_DEFAULT
    else:
        severity = total_limit_severity(implementation.total_s or 0.0)
        default = (
            f"{implementation.title} cuts each response after {implementation.total_s or 0:g} s"
        )
    if severity is None:
        return
    edit = _insert_timeout(rule, cluster) if implementation is not None and obeyed else None
    found = diagnostic_at(
        DEFAULT_TIMEOUT,
        cluster.source,
        _rule_span(rule),
        *_edits(edit),
        severity=severity,
        default=default,
    )
    hole = rule.resource.hole()
    yield found if hole is None else with_unread_part(found, hole)


def _find_default_idle(
    rule: GatewayRouteRule, cluster: Cluster, title: str, idle_s: float
) -> Iterator[Diagnostic]:
    severity = cluster.settings.silence.severity(idle_s)
    if severity is None or _has_read_timeout(rule, cluster):
        return
    yield diagnostic_at(
        DEFAULT_IDLE,
        cluster.source,
        _rule_span(rule),
        severity=severity,
        title=title,
        limit=f"{idle_s:g} s",
        expected=cluster.settings.silence.reason,
    )


def _has_read_timeout(rule: GatewayRouteRule, cluster: Cluster) -> bool:
    if any(
        entry_at(one.spec, "timeout", "read") is not None and rule.is_target_of(one)
        for one in cluster.all_of("ProxySettingsPolicy")
    ):
        return True
    return any(
        one.annotation(key) is not None
        for one in cluster.all_of("Service")
        for key in _READ_TIMEOUTS
    )


def _has_policy_timeout(rule: GatewayRouteRule, cluster: Cluster) -> bool:
    """Return whether a policy in view sets the timeout of a rule that has none."""
    if rule.implementation is ENVOY_AI_GATEWAY:
        # The controller writes the 60 s into the generated HTTPRoute, which takes precedence.
        return False
    if any(request_timeout_of(one) is not None for one in rule.policies):
        return True
    others = {
        "TrafficPolicy": ("timeouts", "request"),
        "GCPBackendPolicy": ("default", "timeoutSec"),
    }
    return any(
        entry_at(one.spec, *path) is not None and rule.is_target_of(one)
        for kind, path in others.items()
        for one in cluster.all_of(kind)
    )


def _insert_timeout(rule: GatewayRouteRule, cluster: Cluster) -> Edit | None:
    if rule.resource.kind == "GRPCRoute":
        return None  # it has no timeouts; a BackendTrafficPolicy sets them
    timeouts = rule.node.get("timeouts")
    if timeouts is not None and timeouts.kind == "map":
        return insert_entry(cluster.source, timeouts, "request", "0s")
    return insert_entry(cluster.source, rule.node, "timeouts", {"request": "0s"})


def _rule_span(rule: GatewayRouteRule) -> tuple[int, int]:
    """Return the span to mark for a rule: its first backend, or else the name of the route."""
    refs = rule.node.entry("backendRefs")
    key = refs.key if refs is not None else None
    if key is None or key.end <= key.start:
        return rule.resource.span
    return key.start, key.end


def find_in_policy(
    policy: Resource, rules: Sequence[GatewayRouteRule], cluster: Cluster
) -> Iterator[Diagnostic]:
    """Find limits of a policy that may cut streams.

    Args:
        rules: the rules in view that the policy affects.
    """
    for one in POLICY_LIMITS:
        entry = entry_at(policy.spec, *one.path) if one.kind == policy.kind else None
        seconds = seconds_in(entry.value.text) if entry else None
        if entry is not None and seconds is not None and not _is_overridden(one, policy, rules):
            found = PatchedLimit(entry, one.setting, seconds, one.rule is POLICY_IDLE)
            yield from _limit(one.rule, policy, found, cluster, one.raised)
    for patch in items_of(at(policy.spec, "jsonPatches")):
        operation = patch.get("operation")
        replaced = json_patch_limit(operation) if operation else None
        for found in (*patched_limits(at(operation, "value")), *((replaced,) if replaced else ())):
            rule = POLICY_IDLE if found.is_idle else POLICY_TIMEOUT
            yield from _limit(rule, policy, found, cluster, "3600s" if found.is_idle else "0s")


def _is_overridden(limit: PolicyLimit, policy: Resource, rules: Sequence[GatewayRouteRule]) -> bool:
    """Return whether every rule in view that streams replaces the limit with its own timeout.

    A request timeout of a rule also sets the limit on silence of its route in Envoy Gateway.
    """
    replaces = {"requestTimeout"} if policy.kind == _BTP else {"streamIdleTimeout"}
    if limit.path[-1] not in replaces or policy.kind not in {_BTP, "ClientTrafficPolicy"}:
        return False
    affected = [one for one in rules if one.assessed.assessment.is_considered]
    return bool(affected) and all(one.sets_timeout for one in affected)


def _limit(
    rule: ConfigRule, policy: Resource, found: PatchedLimit, cluster: Cluster, raised: str
) -> Iterator[Diagnostic]:
    """Yield the diagnostic for a limit, if it is too short."""
    silence = cluster.settings.silence
    severity: Severity | None
    if rule is POLICY_IDLE:
        severity = silence.severity(found.seconds)
    elif rule is DRAIN:
        severity = Severity.INFO if found.seconds < _DEFAULT_DRAIN_S else None
    elif rule is RETRY:
        severity = Severity.WARNING if 0 < found.seconds <= _SLOW_HEAD_S else None
    else:
        severity = total_limit_severity(found.seconds)
    if severity is not None:
        yield diagnostic_at(
            rule,
            cluster.source,
            entry_span(cluster.source, found.entry),
            *_edits(replace_value(cluster.source, found.entry.value, raised)),
            severity=severity,
            setting=found.name,
            limit=found.entry.value.text or f"{found.seconds:g} s",
            kind=policy.kind,
            expected=silence.reason,
        )


def _edits(edit: Edit | None) -> tuple[Edit, ...]:
    return (edit,) if edit is not None else ()
