"""Rules KIN401-KIN404: limits on the duration and on the idle time of a stream."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import (
    ConfigRule,
    Diagnostic,
    Safety,
    diagnostic_at,
    with_unread_part,
)
from undam.lint.dialects.kubernetes_ingress.parser import KONG, MILLISECONDS
from undam.lint.dialects.kubernetes_ingress.routes import EdgeLimit, EdgeRoute
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import Resource, entry_at, entry_span, text_at
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.tree_edit import insert_entry, replace_value

_SOURCES = (
    "docs.aws.amazon.com, load balancer attributes; docs.nginx.com, NGINX Ingress Controller; "
    "developer.konghq.com; apache/apisix (2026-08-20), ngx_tpl.lua; openshift/router (2026-08-04), "
    "haproxy-config.template; haproxytech/kubernetes-ingress, haproxy.cfg; read 2026-11"
)
_WHY_IDLE = """
    Nothing is sent during a long prefill or a slow tool call, so the limit expires and the stream
    is cut.
"""
_WHY_TOTAL = """
    A longer stream is cut off while tokens are still arriving, even if heartbeats are
    sent.
"""

IDLE = ConfigRule(
    code="KIN401",
    slug="idle-timeout",
    severity=Severity.ERROR,
    message="{setting}: {title} cuts a stream after {limit} of silence, {expected}",
    safety=Safety.SAFE,
    what="""
        Each of these limits ends a response when the service is silent for too long: the
        `idle_timeout` of an AWS load balancer, the read timeout of F5 NGINX, Kong and APISIX, and
        the server timeout of HAProxy and the OpenShift router.
    """,
    why=_WHY_IDLE,
    detection="""
        The idle limit of a streaming route is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, the limit is compared with twice that
        interval instead. If the heartbeat interval is known, a limit of at most one heartbeat
        interval is an error, and a higher limit is a warning.
    """,
    fix="""
        Raise the idle timeout, or send heartbeats more often. An automatic fix is offered if
        all paths of the resource serve streams.

            haproxy.router.openshift.io/timeout: 1h
    """,
    source=_SOURCES,
)

IDLE_DEFAULT = ConfigRule(
    code="KIN402",
    slug="idle-timeout-default",
    severity=Severity.WARNING,
    message=("{setting} is not set: {title} cuts a stream after {limit} of silence, {expected}"),
    safety=Safety.SAFE,
    what="""
        Without an annotation, AWS load balancers, F5 NGINX, Kong and APISIX cut a stream after 60 s
        of silence. HAProxy Ingress cuts it after 50 s, and the OpenShift router after 30 s.
    """,
    why=_WHY_IDLE,
    detection="""
        Neither a streaming route of an ingress controller nor its Service sets an idle timeout.
        A ConfigMap, or the parameters of the ingress class, may set a different default.
    """,
    fix="""
        Set an idle timeout for the route. An automatic fix is offered if the resource has
        annotations.

            alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=3600
    """,
    source=_SOURCES,
)

TOTAL = ConfigRule(
    code="KIN403",
    slug="response-timeout",
    severity=Severity.ERROR,
    message="{setting} {limit} limits the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        In GKE, `timeoutSec` in a BackendConfig limits the whole response. In Contour,
        `timeoutPolicy.response` and the annotation `response-timeout` do the same. In
        Emissary-ingress, it is the `timeout_ms` of a Mapping.
    """,
    why=_WHY_TOTAL,
    detection="""
        A limit above 0 and below one hour applies to a streaming route. A limit of at most one
        minute is an error, because long answers take longer; a higher limit is a warning. If no
        known Service refers to a BackendConfig, the severity is info unless the name of the
        BackendConfig indicates streams.
    """,
    fix="""
        On GKE, raise the limit of the load balancer. With Contour or Emissary-ingress, remove the
        limit.

            timeoutSec: 3600
    """,
    source=(
        "cloud.google.com, BackendConfig and backend service timeoutSec; projectcontour.io, "
        "timeoutPolicy; projectcontour/contour 1.33.6 (2026-08-18), httpproxy.go; "
        "ingress-gce#1803; documentation.gravitee.io, Edge Stack, timeouts; accessed 2026-11"
    ),
)

TOTAL_DEFAULT = ConfigRule(
    code="KIN404",
    slug="response-timeout-default",
    severity=Severity.ERROR,
    message="{title} cuts off each response after {limit}, because {setting} is not set",
    safety=Safety.NONE,
    what="""
        Without a BackendConfig, a GKE load balancer ends each response after 30 s. Without a
        `timeoutPolicy`, Contour ends each response after 15 s. Without `timeout_ms`,
        Emissary-ingress ends each response after 3 s.
    """,
    why=_WHY_TOTAL,
    detection="""
        A streaming HTTPProxy or Mapping, or a streaming Ingress of Contour or GKE, does not set its
        own limit. The severity is lower if the Service of a GKE Ingress, or that Service's
        BackendConfig, is not found, and for a Mapping, because a Module can set the default.
    """,
    fix="""
        In Contour, set the response timeout on the route. In GKE, set the response timeout in a
        BackendConfig. Then refer to the BackendConfig in the Service annotation
        `cloud.google.com/backend-config`.

            timeoutPolicy:
              response: infinity

        In Emissary-ingress, set `timeout_ms: 0` in the Mapping.
    """,
    source=(
        "cloud.google.com, backend service timeoutSec; projectcontour/contour 1.33.6 (2026-08-18), "
        "httpproxy.go:1230 (15 s); ingress-gce#1803; emissary-ingress/emissary#2993 and "
        "documentation.gravitee.io, Edge Stack, timeouts (3000 ms); accessed 2026-11"
    ),
)

RULES = (IDLE, IDLE_DEFAULT, TOTAL, TOTAL_DEFAULT)


def find_in_route(route: EdgeRoute, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find limits, explicit or default, that may cut off streams on a route."""
    silence = cluster.settings.silence
    if route.idle is not None and route.idle.seconds is not None:
        severity = silence.severity(route.idle.seconds)
        if severity is not None:
            rule = IDLE if route.idle.entry is not None else IDLE_DEFAULT
            yield _diagnostic(rule, route, route.idle, severity, cluster, silence.reason)
    if route.total is not None and route.total.seconds is not None:
        severity = total_limit_severity(route.total.seconds)
        if severity is not None:
            rule = TOTAL if route.total.entry is not None else TOTAL_DEFAULT
            found = _diagnostic(rule, route, route.total, severity, cluster, "")
            if not route.total.is_certain:
                found = with_unread_part(found, route.total.elsewhere)
            yield found


def _diagnostic(
    rule: ConfigRule,
    route: EdgeRoute,
    limit: EdgeLimit,
    severity: Severity,
    cluster: Cluster,
    expected: str,
) -> Diagnostic:
    source = cluster.source
    edit: Edit | None = None
    if limit.entry is not None:
        span = entry_span(source, limit.entry)
        written = limit.entry.value.text
        if written.isdecimal():
            written = f"{limit.seconds:g} s"
        if route.all_stream and limit.raised:
            edit = replace_value(source, limit.entry.value, limit.raised)
    else:
        start = route.anchor.start
        line_end = source.line_span(start)[1]
        end = start + len(source.text[start : min(line_end, route.anchor.end)].rstrip())
        span, written = (start, end), f"{limit.seconds:g} s"
        if rule is IDLE_DEFAULT and route.annotations is not None and route.all_stream:
            edit = _insert(route, cluster)
    return diagnostic_at(
        rule,
        source,
        span,
        *((edit,) if edit else ()),
        severity=severity,
        setting=limit.name,
        title=route.controller.title,
        limit=f"{limit.seconds:g} s" if rule in {IDLE, IDLE_DEFAULT} else written,
        expected=expected,
    )


def _insert(route: EdgeRoute, cluster: Cluster) -> Edit | None:
    """Return the edit that inserts the annotation, or appends to an existing annotation."""
    assert route.annotations is not None
    key = route.controller.idle_keys[0]
    for prefix_key in route.controller.idle_keys:
        prefix = prefix_key.rpartition("/")[0]
        if any(one.key.text.startswith(prefix) for one in route.annotations.entries):
            key = prefix_key
            break
    present = route.resource.annotation(key)
    if present is not None:
        raised = f"{present.value.text},{route.controller.raised}"
        return replace_value(cluster.source, present.value, raised)
    return insert_entry(cluster.source, route.annotations, key, route.controller.raised)


def find_in_resource(resource: Resource, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find limits in resources that Services and Ingresses refer to."""
    source, silence = cluster.source, cluster.settings.silence
    if resource.kind == "BackendConfig":
        entry = entry_at(resource.spec, "timeoutSec")
        severity = total_limit_severity(seconds_in(entry.value.text) or 0.0) if entry else None
        if entry is not None and severity is not None:
            edit = replace_value(source, entry.value, "3600")
            yield diagnostic_at(
                TOTAL,
                source,
                entry_span(source, entry),
                *((edit,) if edit else ()),
                severity=severity,
                setting="timeoutSec",
                limit=f"{entry.value.text} s",
            )
        return
    if resource.kind == "KongIngress":
        entry = entry_at(resource.node, "proxy", "read_timeout")
    elif resource.kind in {"KongPlugin", "KongClusterPlugin"}:
        is_timeout = text_at(resource.node, "plugin") == "upstream-timeout"
        entry = entry_at(resource.node, "config", "read_timeout") if is_timeout else None
    else:
        entry = None
    seconds = seconds_in(entry.value.text, bare_unit_s=MILLISECONDS) if entry else None
    severity = silence.severity(seconds) if seconds else None
    if entry is not None and severity is not None:
        edit = replace_value(source, entry.value, KONG.raised)
        yield diagnostic_at(
            IDLE,
            source,
            entry_span(source, entry),
            *((edit,) if edit else ()),
            severity=severity,
            setting="read_timeout",
            title=KONG.title,
            limit=f"{seconds:g} s",
            expected=silence.reason,
        )
