"""Rules IST401-IST404: limits on the duration, idle time and connections of streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.istio.parser import patches_of
from undam.lint.dialects.istio.routes import MeshRoute
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.envoy_config import patched_limits
from undam.lint.kubernetes.resources import Resource, entry_at, entry_span
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree_edit import replace_value

TIMEOUT = ConfigRule(
    code="IST401",
    slug="virtual-service-timeout",
    severity=Severity.ERROR,
    message="a timeout of {limit} covers the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        The `timeout` of an HTTP route covers the whole response. Since version 1.5, Istio does not
        limit a response by default.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving; heartbeats do not
        help.
    """,
    detection="""
        A streaming route has a `timeout` above 0 and below one hour. A limit of up to one minute is
        an error, because long answers exceed it. A longer limit is a warning.
    """,
    measured="""
        Envoy 1.40 with a route timeout of 2s truncated the response 3.0 s after the request, while
        events arrived every 100 ms (ENV402).
    """,
    fix="""
        Remove the limit unless you need it for another purpose.

            timeout: 0s
    """,
    source=(
        "measured on loopback with Envoy 1.40; istio.io, VirtualService, HTTPRoute.timeout; report "
        "ag-ui#2105 (601 s); accessed 2026-11"
    ),
)

TRY = ConfigRule(
    code="IST402",
    slug="per-try-timeout",
    severity=Severity.WARNING,
    message="perTryTimeout aborts a request whose response head takes longer than {limit}",
    safety=Safety.UNSAFE,
    what="""
        If the response has not begun within `retries.perTryTimeout`, Istio aborts the attempt and
        retries the request.
    """,
    why="""
        Many servers send the response head together with the first token. If the prefill takes
        longer than the limit, each retry repeats the whole prefill and increases the load.
    """,
    detection="""
        A streaming route sets `retries.perTryTimeout` to a value above 0 and at most one minute.
        `perTryTimeout` does not cut a response that has begun.
    """,
    measured="""
        Envoy 1.40 with a limit of 1s returned a 504 when the response head took 2.5 s. Once the
        head had arrived, a limit of `2s` did not end a 6 s stream (ENV406).
    """,
    fix="""
        Raise the limit unless you need it for another purpose.

            retries:
              perTryTimeout: 600s
    """,
    source="measured on loopback with Envoy 1.40; istio.io, HTTPRetry, accessed 2026-11",
)

ONE_REQUEST = ConfigRule(
    code="IST403",
    slug="one-request-per-connection",
    severity=Severity.INFO,
    message="maxRequestsPerConnection {limit} opens a new connection for each stream",
    safety=Safety.UNSAFE,
    what="""
        `maxRequestsPerConnection: 1` in a DestinationRule disables keep-alive to the server.
    """,
    why="""
        The setting does not cut streams, but each request needs a new connection and, with mutual
        TLS, a handshake. The connection and the handshake increase the time to first token.
    """,
    detection="""
        The DestinationRule of a streaming host sets `maxRequestsPerConnection` to 1. `idleTimeout`
        of the same pool is not reported, because it closes only connections without an open
        request.
    """,
    fix="""
        Remove the limit unless you need it for another purpose; 0 means unlimited.

            connectionPool:
              http:
                maxRequestsPerConnection: 0
    """,
    source="istio.io, DestinationRule, ConnectionPoolSettings.HTTPSettings, accessed 2026-11",
)

PATCHED_LIMIT = ConfigRule(
    code="IST404",
    slug="envoy-filter-limit",
    severity=Severity.ERROR,
    message="the EnvoyFilter sets {setting} {limit}, {effect}",
    safety=Safety.UNSAFE,
    what="""
        An EnvoyFilter sets a limit on streams that Istio does not set by default:
        `stream_idle_timeout`, `max_stream_duration`, or a route timeout.
    """,
    why="A stream that exceeds the limit is cut while the model is still working.",
    detection="""
        `stream_idle_timeout` or `idle_timeout` is below the expected silence, or
        `max_stream_duration` or `timeout` is below one hour. If the workload selector and the known
        routes do not show whether anything streams, the severity is info.
    """,
    measured="""
        Envoy 1.40 cut the stream when `stream_idle_timeout`, `max_stream_duration` or a route
        timeout was set to 2s (ENV402 to ENV404).
    """,
    fix="""
        Raise or remove the limit. The patch applies to all routes of the selected workloads.

            stream_idle_timeout: 3600s
    """,
    source="measured on loopback with Envoy 1.40; istio.io, Envoy Filter, accessed 2026-11",
)

RULES = (TIMEOUT, TRY, ONE_REQUEST, PATCHED_LIMIT)

# Model servers send the response headers within a minute, so a longer limit does no harm.
_SLOW_HEAD_S = 60.0


def find_in_route(route: MeshRoute, source: Source) -> Iterator[Diagnostic]:
    """Find timeouts on an HTTP route that cut off streams."""
    entry = entry_at(route.node, "timeout")
    seconds = seconds_in(entry.value.text) if entry else None
    severity = total_limit_severity(seconds) if seconds else None
    if entry is not None and severity is not None:
        edit = replace_value(source, entry.value, "0s")
        yield diagnostic_at(
            TIMEOUT,
            source,
            entry_span(source, entry),
            *((edit,) if edit else ()),
            severity=severity,
            limit=entry.value.text,
        )
    entry = entry_at(route.node, "retries", "perTryTimeout")
    seconds = seconds_in(entry.value.text) if entry else None
    if entry is not None and seconds and seconds <= _SLOW_HEAD_S:
        edit = replace_value(source, entry.value, "600s")
        span = entry_span(source, entry)
        yield diagnostic_at(TRY, source, span, *((edit,) if edit else ()), limit=entry.value.text)


def find_in_destination(rule: Resource, source: Source) -> Iterator[Diagnostic]:
    """Find connection pools that permit only one request per connection to a streaming host."""
    entry = entry_at(
        rule.spec, "trafficPolicy", "connectionPool", "http", "maxRequestsPerConnection"
    )
    if entry is not None and entry.value.text == "1":
        edit = replace_value(source, entry.value, "0")
        span = entry_span(source, entry)
        yield diagnostic_at(
            ONE_REQUEST, source, span, *((edit,) if edit else ()), limit=entry.value.text
        )


def find_in_filter(
    resource: Resource, source: Source, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Find limits on streams in the patches of an EnvoyFilter."""
    for patch in patches_of(resource):
        for limit in patched_limits(patch):
            if limit.is_idle:
                severity = silence.severity(limit.seconds)
                effect = f"{silence.reason}: the stream is cut after a longer silence"
            else:
                severity = total_limit_severity(limit.seconds)
                effect = "which limits the whole response"
            if severity is not None:
                edit = replace_value(source, limit.entry.value, "3600s" if limit.is_idle else "0s")
                yield diagnostic_at(
                    PATCHED_LIMIT,
                    source,
                    entry_span(source, limit.entry),
                    *((edit,) if edit else ()),
                    severity=severity,
                    setting=limit.entry.key.text,
                    limit=limit.entry.value.text or f"{limit.seconds:g} s",
                    effect=effect,
                )
