"""Rules TRK401-TRK402: limits on entry points and transports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.traefik.rules.limits import find_header_timeout
from undam.lint.dialects.traefik_crd.parser import write_timeouts
from undam.lint.dialects.traefik_crd.routes import IngressRouteRule
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import text_at
from undam.lint.limits import total_limit_severity
from undam.lint.routes import RouteOutcome
from undam.rules import Severity
from undam.textfiles.edits import Edit

WRITE_TIMEOUT = ConfigRule(
    code="TRK401",
    slug="write-timeout",
    severity=Severity.ERROR,
    message=(
        "writeTimeout {limit} of the entry point {name} cuts off responses; heartbeats do not help"
    ),
    safety=Safety.UNSAFE,
    what="""
        Traefik's argument `respondingTimeouts.writeTimeout` limits the time from the end of the
        request head to the end of the response.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving, even if heartbeats
        are sent.
    """,
    detection="""
        The arguments of a Deployment or DaemonSet set a limit above 0 and below one hour, and a
        known route streams. A limit of at most one minute is an error; a higher limit is a warning.
        If no known route streams, the severity is info.
    """,
    measured="""
        Traefik 3.7.15 with a limit of 2 s cut the response 2.0 s after the request, while events
        arrived every 100 ms (TRF401).
    """,
    fix="""
        Set writeTimeout to 0s, the default, which means no limit. The change applies to all routers
        of the entry point.

            --entryPoints.web.transport.respondingTimeouts.writeTimeout=0s
    """,
    source="measured with Traefik 3.7.15; doc.traefik.io, EntryPoints, accessed 2026-11",
)

HEADER_TIMEOUT = ConfigRule(
    code="TRK402",
    slug="response-header-timeout",
    severity=Severity.WARNING,
    message="responseHeaderTimeout {limit} aborts a request whose response head takes longer",
    safety=Safety.UNSAFE,
    what="""
        `forwardingTimeouts.responseHeaderTimeout` of a ServersTransport limits how long the server
        may take to send the response head.
    """,
    why="""
        Many servers send the response head together with the first token. If the prefill takes
        longer than the limit, the client receives a 504.
    """,
    detection="""
        A service of a streaming route uses a ServersTransport in this file whose limit is above 0
        and below one minute.
    """,
    measured="""
        Traefik 3.7.15 with a limit of 1 s returned a 504 because the response head arrived only
        after 2.5 s (TRF402).
    """,
    fix="""
        Set responseHeaderTimeout to 0s, the default, which means no limit. The change applies to
        all services that use the same transport.

            forwardingTimeouts:
              responseHeaderTimeout: 0s
    """,
    source=(
        "measured on loopback with Traefik 3.7.15; doc.traefik.io, Kubernetes CRD, "
        "ServersTransport, accessed 2026-11"
    ),
)

RULES = (WRITE_TIMEOUT, HEADER_TIMEOUT)


def find_in_transports(route: IngressRouteRule, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find limits on the transports that the services of a route use."""
    for service in route.services:
        name = text_at(service, "serversTransport")
        for transport in cluster.own_of("ServersTransport"):
            if name and (
                transport.name == name
                or name.removesuffix("@kubernetescrd").endswith(f"-{transport.name}")
            ):
                yield from find_header_timeout(
                    transport.spec, cluster.source, streams=True, rule=HEADER_TIMEOUT
                )


def find_in_arguments(routes: Sequence[IngressRouteRule], cluster: Cluster) -> Iterator[Diagnostic]:
    """Find limits in the arguments of Traefik Deployments in this file."""
    streams = bool(cluster.settings.stream_paths) or any(
        one.assessed.outcome is RouteOutcome.STREAMS for one in routes
    )
    for deployment in cluster.own_of("Deployment", "DaemonSet"):
        for node, name, limit in write_timeouts(deployment):
            severity = total_limit_severity(seconds_in(limit) or 0.0)
            text = cluster.source.text[node.start : node.end]
            at = text.rfind(limit)
            if severity is None or "\n" in text or at < 0:
                continue
            start = node.start + at
            edits = (Edit(start, start + len(limit), "0s"),) if streams else ()
            yield diagnostic_at(
                WRITE_TIMEOUT,
                cluster.source,
                (node.start, node.end),
                *edits,
                severity=severity if streams else Severity.INFO,
                limit=limit,
                name=name,
            )
