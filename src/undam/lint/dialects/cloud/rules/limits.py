"""Rules CLD401-CLD402: time limits of load balancers, CDNs, gateways and platforms."""

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
    message="{title}: {name} cuts a stream after {limit} of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        Load balancers and CDNs end a response when the origin has sent nothing for a certain time.
        AWS load balancers end a silent response after `idle_timeout` (60 s by default, at most 4000
        s). CloudFront ends a silent response after `origin_read_timeout` (30 s by default, at most
        120 s). Azure Application Gateway ends a silent response after the request timeout in its
        backend settings. Azure Front Door ends a silent response after `response_timeout_seconds`
        (120 s in Terraform, at most 240 s). Fly.io ends a silent response after `idle_timeout` (60
        s by default).
    """,
    why="""
        If the model sends nothing during queueing, reasoning or a tool call, the client receives a
        truncated stream or a 504. HTTP/2 pings do not reset the idle timeouts.
    """,
    detection="""
        For a streaming resource, the configured or default idle limit is below the expected silence
        (setting `silence`, 300 s by default). If the heartbeat interval is known, an idle limit of
        at most one interval is an error. A limit between one and two intervals is a warning. If
        undam cannot determine whether the resource streams, it reports only an explicitly
        configured limit, with severity info.
    """,
    measured="""
        No, because the services cannot be run locally; the rule relies on their
        documentation.
    """,
    fix="""
        Raise the limit as far as the service permits. If the maximum is still too short, let the
        origin send heartbeats. The limit applies to all requests to the resource.

            idle_timeout = 3600
    """,
    source=(
        "docs.aws.amazon.com, edit-load-balancer-attributes and CloudFront API, OriginReadTimeout; "
        "learn.microsoft.com, use-server-sent-events (2025-04), and Front Door, "
        "troubleshoot-issues; community.fly.io, idle timeout; accessed 2026-11"
    ),
)

TOTAL = ConfigRule(
    code="CLD402",
    slug="total-response-timeout",
    severity=Severity.WARNING,
    message="{title}: {name} cuts off each response after {limit}; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        Google's load balancers (`timeout_sec`), Cloud Run and API Gateway limit the duration of the
        whole response. Lambda functions and Vercel functions (`maxDuration`) also limit the whole
        response. CloudFront limits the whole response only if `response_completion_timeout` is set.
        The default limit is 30 s for Google's load balancers, and 300 s for Cloud Run and Vercel
        functions. The default limit of Lambda functions is 3 s, or 6 s with the Serverless
        Framework. The default limit of API Gateway is 29 s, or 15 minutes in the mode STREAM.
    """,
    why="A long answer is cut off while tokens are still arriving; heartbeats do not help.",
    detection="""
        For a streaming resource, the configured or default limit on the whole response is below one
        hour. A limit of up to one minute is reported as an error, and a longer limit as a warning.
        A limit that is already the service's maximum is not reported. If undam cannot determine
        whether the resource streams, it reports only an explicitly configured limit, with severity
        info.
    """,
    measured="""
        No, because the services cannot be run locally; the rule relies on their
        documentation.
    """,
    fix="""
        Raise the limit to one hour, or to the service's maximum if that is shorter. With a longer
        limit, a hanging request occupies its instance for longer.

            timeout_sec = 3600
    """,
    source=(
        "cloud.google.com, backend service timeout, and Cloud Run, request-timeout; "
        "docs.aws.amazon.com, response-transfer-mode; vercel.com, functions/duration (2026-08-24); "
        "docs.aws.amazon.com, Lambda, timeout; serverless.com, provider.timeout; accessed 2026-11"
    ),
)

RULES = (IDLE, TOTAL)


def find(
    resource: CloudResource, source: Source, silence: ExpectedSilence, *, only_explicit: bool
) -> Iterator[Diagnostic]:
    """Find time limits that are too short for streams."""
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
