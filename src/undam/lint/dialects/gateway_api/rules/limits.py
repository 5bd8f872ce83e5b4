"""Rules GWA401-GWA407: limits on the duration and on the idle time of a stream."""

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
    A longer stream is cut off while tokens are still arriving; heartbeats do not help.
"""

DEFAULT_TIMEOUT = ConfigRule(
    code="GWA401",
    slug="route-timeout-default",
    severity=Severity.ERROR,
    message="this rule has no timeout of its own: {default}",
    safety=Safety.SAFE,
    what="""
        If a rule does not set `timeouts`, the Gateway API leaves the timeout to the implementation.
        By default, Envoy Gateway, kgateway and Contour limit the whole response to 15 s, GKE to
        30 s, and Envoy AI Gateway to 60 s. Istio, Traefik and agentgateway have no default timeout.
    """,
    why=_WHY_TOTAL,
    detection="""
        A streaming rule does not set a timeout, and neither does any known policy. The
        implementation is inferred from the GatewayClass, the name of the Gateway or known policies.
        If the implementation remains unknown, the severity is info.
    """,
    measured="""
        For a rule without timeouts, Envoy Gateway generates a route without `timeout`. With a route
        without `timeout` in Envoy 1.40, events arrived for 15 s, and then the connection was closed
        (ENV401). With `timeout: 0s` and `idle_timeout: 0s`, which Envoy Gateway generates for
        `request: 0s`, the whole stream arrived.
    """,
    fix="""
        Set `request: 0s`, which disables the timeout. In Envoy Gateway, `0s` also disables the idle
        limit of 5 min. On GKE, set `timeoutSec` in a GCPBackendPolicy instead.

            timeouts:
              request: 0s
    """,
    source=(
        "measured on loopback with Envoy 1.40; gateway.envoyproxy.io, HTTP timeouts; kgateway.dev, "
        "request timeouts; projectcontour.io; ai-gateway#795 (60 s); reports nvcf#1060 (15.006 s), "
        "modelplane#174, LLMKube#734; all accessed 2026-11"
    ),
)

TIMEOUT = ConfigRule(
    code="GWA402",
    slug="route-timeout",
    severity=Severity.ERROR,
    message="timeouts.{setting} limits the whole response to {limit}; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `timeouts.request` limits the duration of the whole response. `timeouts.backendRequest`
        limits each response from a backend.
    """,
    why=_WHY_TOTAL,
    detection="""
        A streaming rule has a timeout above 0 and below one hour. A limit of up to one minute is an
        error, because long answers exceed it. A longer limit is a warning.
    """,
    fix="""
        Remove the limit unless you need it for another purpose. A change to a rule affects all
        matches of that rule.

            timeouts:
              request: 0s
              backendRequest: 0s
    """,
    source=(
        "gateway-api.sigs.k8s.io, HTTPRouteTimeouts (GEP-1742); reports LLMKube#734, aibrix#1176 "
        "(120 s); accessed 2026-11"
    ),
)

POLICY_TIMEOUT = ConfigRule(
    code="GWA403",
    slug="policy-timeout",
    severity=Severity.ERROR,
    message="{setting} {limit} of this {kind} limits the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        Several policies can limit the whole response: BackendTrafficPolicy (`requestTimeout`,
        `maxStreamDuration`), TrafficPolicy and AgentgatewayPolicy (`timeouts.request`), and
        GCPBackendPolicy (`timeoutSec`). An EnvoyPatchPolicy can limit the response as well.
    """,
    why=_WHY_TOTAL,
    detection="""
        A policy affects a streaming route and sets a limit above 0 and below one hour. A limit of
        up to one minute is reported as an error, and a longer limit as a warning. The `timeouts` of
        a rule take precedence over `requestTimeout`. A policy is therefore not reported if all
        streaming rules that it targets set `timeouts`. If it is unknown whether the policy's routes
        stream, the severity is info.
    """,
    fix="""
        Remove the limit. In a GCPBackendPolicy, which does not allow 0, set `timeoutSec` to 3600.
        The change affects every route that the policy targets.

            timeout:
              http:
                requestTimeout: 0s
    """,
    source=(
        "gateway.envoyproxy.io, HTTP and gRPC timeouts; envoyproxy/gateway#4329 (precedence); "
        "kgateway.dev, request timeouts; cloud.google.com, GCPBackendPolicy; accessed 2026-11"
    ),
)

POLICY_IDLE = ConfigRule(
    code="GWA404",
    slug="policy-idle-timeout",
    severity=Severity.ERROR,
    message="{setting} of this {kind} is {limit}, {expected}: longer silence cuts the stream",
    safety=Safety.UNSAFE,
    what="""
        The setting `streamIdleTimeout` of a ClientTrafficPolicy, BackendTrafficPolicy, listener
        policy or AIGatewayRoute ends an inactive stream. `timeouts.streamIdle` (TrafficPolicy),
        `timeout.read` (ProxySettingsPolicy) and `perRetry.idleTimeout` also end inactive streams.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        A policy affects a streaming route and sets a limit below the expected silence (setting
        `silence`, 300 s by default). If the heartbeat interval is known, an idle limit of at most
        one interval is an error. A limit between one and two intervals is a warning. Limits on idle
        connections are not reported, because they apply only while no request is open.
    """,
    fix="""
        Raise the limit, or send heartbeats more often.

            timeout:
              http:
                streamIdleTimeout: 3600s
    """,
    source=(
        "gateway.envoyproxy.io, ClientTrafficPolicy and BackendTrafficPolicy, API reference; "
        "docs.nginx.com, ProxySettingsPolicy; kgateway.dev, idle stream timeouts; accessed 2026-11"
    ),
)

RETRY = ConfigRule(
    code="GWA405",
    slug="per-retry-timeout",
    severity=Severity.WARNING,
    message="perRetry.timeout aborts a request whose response head takes longer than {limit}",
    safety=Safety.UNSAFE,
    what="""
        Envoy Gateway translates `retry.perRetry.timeout` to Envoy's `per_try_timeout`. If the
        response does not begin within `per_try_timeout`, Envoy aborts the attempt and retries the
        request.
    """,
    why="""
        Many servers send the response head together with the first token. If the prefill takes
        longer than the limit, each retry repeats the whole prefill and increases the load.
    """,
    detection="""
        A BackendTrafficPolicy for a streaming route sets `perRetry.timeout` to more than 0 and at
        most one minute. `perRetry.timeout` does not cut a response that has begun.
    """,
    measured="""
        Envoy 1.40 with a limit of 1s returned a 504 when the response head took 2.5 s. Once the
        head had arrived, a limit of `2s` did not end a 6 s stream (ENV406).
    """,
    fix="""
        Raise the limit unless you need it for another purpose.

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
        "{title} cuts a stream after {limit} of silence, {expected}; no known setting raises the "
        "limit"
    ),
    safety=Safety.NONE,
    what="""
        NGINX Gateway Fabric, Kong and Apache APISIX are built on nginx, which by default cuts a
        response after 60 s without data.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        NGINX Gateway Fabric, Kong or APISIX implements a streaming rule, and no known
        ProxySettingsPolicy or Service sets a read timeout. The rule compares the limit of 60 s with
        the expected silence.
    """,
    fix="""
        In NGINX Gateway Fabric, raise the limit with a ProxySettingsPolicy. In Kong, raise the
        limit with the Service annotation konghq.com/read-timeout. In APISIX, raise the limit with a
        BackendTrafficPolicy.

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
        When a gateway pod is stopped, its open requests must finish within the EnvoyProxy's
        `shutdown.drainTimeout` (60 s by default).
    """,
    why="""
        When the gateway is updated or scaled down, streams that are still open after the drain
        timeout are cut. Data or heartbeats on the stream do not prevent the cut.
    """,
    detection="""
        `drainTimeout` is below the default of 60 s. The severity is info, because the resource does
        not show which routes stream.
    """,
    fix="""
        Raise the drain timeout. With a longer drain timeout, gateway pods take longer to stop.

            shutdown:
              drainTimeout: 600s
    """,
    source="gateway.envoyproxy.io, EnvoyProxy, ShutdownConfig, accessed 2026-11",
)

RULES = (DEFAULT_TIMEOUT, TIMEOUT, POLICY_TIMEOUT, POLICY_IDLE, RETRY, DEFAULT_IDLE, DRAIN)

# Model servers send the response headers within a minute, so a longer limit does no harm.
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
    """A policy setting that limits streams.

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


_BTP, _CTP = "BackendTrafficPolicy", "ClientTrafficPolicy"
POLICY_LIMITS = (
    PolicyLimit(_BTP, ("timeout", "http", "requestTimeout"), POLICY_TIMEOUT, "0s"),
    PolicyLimit(_BTP, ("timeout", "http", "maxStreamDuration"), POLICY_TIMEOUT, "0s"),
    PolicyLimit(_BTP, ("timeout", "http", "streamIdleTimeout"), POLICY_IDLE, "3600s"),
    PolicyLimit(_BTP, ("retry", "perRetry", "idleTimeout"), POLICY_IDLE, "3600s"),
    PolicyLimit(_BTP, ("retry", "perRetry", "timeout"), RETRY, "600s"),
    PolicyLimit(_CTP, ("timeout", "http", "streamIdleTimeout"), POLICY_IDLE, "3600s"),
    PolicyLimit("AgentgatewayPolicy", ("traffic", "timeouts", "request"), POLICY_TIMEOUT, "0s"),
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
    """Find timeouts, explicit or default, on a route rule that cut off streams."""
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
            f"{implementation.title} cuts off each response after {implementation.total_s or 0:g} s"
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
    """Return whether a policy sets a timeout for a rule that does not set one itself."""
    if rule.implementation is ENVOY_AI_GATEWAY:
        # The controller writes a timeout of 60 s into the generated HTTPRoute, which overrides
        # policies.
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
        return None  # a GRPCRoute cannot have timeouts
    timeouts = rule.node.get("timeouts")
    if timeouts is not None and timeouts.kind == "map":
        return insert_entry(cluster.source, timeouts, "request", "0s")
    return insert_entry(cluster.source, rule.node, "timeouts", {"request": "0s"})


def _rule_span(rule: GatewayRouteRule) -> tuple[int, int]:
    """Return the span to report for a rule: its first backend, or else the route name."""
    refs = rule.node.entry("backendRefs")
    key = refs.key if refs is not None else None
    if key is None or key.end <= key.start:
        return rule.resource.span
    return key.start, key.end


def find_in_policy(
    policy: Resource, rules: Sequence[GatewayRouteRule], cluster: Cluster
) -> Iterator[Diagnostic]:
    """Find limits in a policy that may cut off streams.

    Args:
        rules: the known rules that the policy affects.
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
    """Return whether every streaming rule overrides the policy limit with its own timeout.

    A request timeout of a rule also sets the idle timeout of its route in Envoy Gateway.
    """
    replaces = {"requestTimeout"} if policy.kind == _BTP else {"streamIdleTimeout"}
    if limit.path[-1] not in replaces or policy.kind not in {_BTP, _CTP}:
        return False
    affected = [one for one in rules if one.assessed.assessment.is_considered]
    return bool(affected) and all(one.sets_timeout for one in affected)


def _limit(
    rule: ConfigRule, policy: Resource, found: PatchedLimit, cluster: Cluster, raised: str
) -> Iterator[Diagnostic]:
    """Yield a diagnostic if the limit is too short."""
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
