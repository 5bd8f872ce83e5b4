"""CLD401-CLD402: limits of load balancers, CDNs, gateways and platforms."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.cloud.routes import CloudFact, CloudResource, CloudSetting
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity
from undam.textfiles.source import Source

IDLE = ConfigRule(
    code="CLD401",
    slug="short-idle-timeout",
    severity=Severity.WARNING,
    message="{title}: {name} {limit} cuts a silent stream, {expected}",
    safety=Safety.UNSAFE,
    what="""
        Load balancers and CDNs end a response when the origin has sent nothing for a while: AWS
        load balancers after `idle_timeout` (60 s by default, 4000 at most), CloudFront after
        `origin_read_timeout` (30 s, 120 at most), Azure Application Gateway after the request
        timeout of its backend settings, Azure Front Door after `response_timeout_seconds` (120 s in
        Terraform, 240 at most), and Fly.io after `idle_timeout` (60 s).
    """,
    why="""
        A model that is reasoning, queued or calling a tool sends nothing, and the client receives a
        truncated stream or a 504. HTTP/2 pings do not count.
    """,
    detection="""
        The limit of a resource that streams, configured or by default, is below the expected
        silence (setting `silence`, 300 s by default). If heartbeats are known, the limit is below
        two heartbeat intervals instead. Up to one interval it is reported as an error; above that,
        as a warning. If nothing is known about the resource, only a configured limit is reported,
        with severity info.
    """,
    measured="Documented, not measured: the services cannot be run locally.",
    fix="""
        Raise the limit as far as the service permits. If that does not suffice, let the origin send
        heartbeats. The limit applies to all requests of the resource.

            idle_timeout = 3600
    """,
    source=(
        "docs.aws.amazon.com, edit-load-balancer-attributes and CloudFront API, OriginReadTimeout; "
        "learn.microsoft.com, use-server-sent-events (2025-04), and Front Door, "
        "troubleshoot-issues; community.fly.io, idle timeout; read in 2026-11"
    ),
)

TOTAL = ConfigRule(
    code="CLD402",
    slug="total-response-timeout",
    severity=Severity.WARNING,
    message="{title}: {name} {limit} cuts each response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        Some services limit the whole response: Google's load balancers (`timeout_sec`, 30 s by
        default), Cloud Run (300 s), API Gateway (29 s, or 15 minutes in the mode STREAM), Lambda
        functions, Vercel functions (`maxDuration`, 300 s), and CloudFront if
        `response_completion_timeout` is set.
    """,
    why="A long answer is cut while tokens are still arriving; heartbeats do not prevent it.",
    detection="""
        The limit of a resource that streams, configured or by default, is below one hour. Up to one
        minute it is reported as an error; above that, as a warning. The maximum of the service is
        not reported. If nothing is known about the resource, only a configured limit is reported,
        with severity info.
    """,
    measured="Documented, not measured: the services cannot be run locally.",
    fix="""
        Raise the limit to one hour, or to the maximum of the service. A request that hangs then
        occupies its instance for longer.

            timeout_sec = 3600
    """,
    source=(
        "cloud.google.com, backend service timeout, and Cloud Run, request-timeout; "
        "docs.aws.amazon.com, response-transfer-mode; vercel.com, functions/duration (2026-08-24); "
        "read in 2026-11"
    ),
)

RULES = (IDLE, TOTAL)


def find(
    resource: CloudResource, source: Source, silence: ExpectedSilence, *, only_explicit: bool
) -> Iterator[Diagnostic]:
    """Find limits that are too short."""
    for one in resource.settings:
        if one.seconds is None or (only_explicit and not one.is_explicit):
            continue
        if one.fact is CloudFact.IDLE:
            severity = silence.severity(one.seconds)
            if severity is not None:
                yield _found(IDLE, resource, one, source, severity, expected=silence.reason)
        else:
            severity = total_limit_severity(one.seconds)
            if severity is not None and not one.is_maximum:
                yield _found(TOTAL, resource, one, source, severity)


def _found(
    rule: ConfigRule,
    resource: CloudResource,
    one: CloudSetting,
    source: Source,
    severity: Severity,
    **evidence: object,
) -> Diagnostic:
    origin = "" if one.is_explicit else " (the default)"
    return diagnostic_at(
        rule,
        source,
        one.span,
        *((one.edit,) if one.edit is not None else ()),
        severity=severity,
        title=resource.title,
        name=one.name,
        limit=f"{one.seconds:g} s{origin}",
        **evidence,
    )
