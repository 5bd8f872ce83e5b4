"""Rules KSV401-KSV404: timeouts of components and revisions."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.kserve.parser import ServingComponent
from undam.lint.dialects.kserve.routes import KNATIVE_DEFAULT_S
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import entry_at, entry_span
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry
from undam.textfiles.tree_edit import replace_value

TIMEOUT = ConfigRule(
    code="KSV401",
    slug="service-timeout",
    severity=Severity.ERROR,
    message="{setting} {limit} s limits the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `timeout` limits the duration of the whole response of an InferenceService component.
        `timeoutSeconds` does the same for a Knative revision. Without Knative, KServe copies
        `timeout` into the HTTPRoute.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving, even if heartbeats
        are sent.
    """,
    detection="""
        The component runs a model server that streams, and the limit is above 0 and below one hour.
        A limit of at most one minute is an error, because long answers take longer; a higher limit
        is a warning.
    """,
    fix="""
        Raise the limit on the response. Knative rejects a limit above
        `max-revision-timeout-seconds` (600 by default). Raise that maximum in the ConfigMap
        `config-defaults` as well.

            timeout: 3600
    """,
    source=(
        "knative/serving, pkg/apis/config/defaults.go; kserve.github.io, ComponentExtensionSpec; "
        "kserve#3525, #3149; accessed 2026-11"
    ),
)

TIMEOUT_DEFAULT = ConfigRule(
    code="KSV402",
    slug="service-timeout-default",
    severity=Severity.WARNING,
    message="{setting} is not set: {default}",
    safety=Safety.NONE,
    what="""
        A Knative revision without `timeoutSeconds` uses the default from the ConfigMap
        `config-defaults`, which is 300 s for the whole response. For an InferenceService in
        Standard mode (RawDeployment) that uses the Gateway API, KServe writes `request: 60s` into
        the HTTPRoute.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving, even if heartbeats
        are sent.
    """,
    detection="""
        The component runs a model server that streams and sets no limit. The severity is info if no
        annotation shows that Knative serves the component.
    """,
    fix="""
        Set a limit on the response. Knative rejects a limit above `max-revision-timeout-seconds`
        (600 by default). Raise that maximum in the ConfigMap `config-defaults` as well.

            timeout: 3600
    """,
    source=(
        "knative/serving, pkg/apis/config/defaults.go:42; kserve/kserve, httproute_reconciler.go "
        "(DefaultTimeout 60 s); accessed 2026-11"
    ),
)

RESPONSE_START = ConfigRule(
    code="KSV403",
    slug="response-start-timeout",
    severity=Severity.WARNING,
    message=(
        "responseStartTimeoutSeconds: Knative aborts a request if its response does not begin "
        "within {limit} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        `responseStartTimeoutSeconds` of a Knative revision limits the time until the first byte of
        the response.
    """,
    why="""
        Many servers send the response head with the first token. If the prefill or the start of a
        pod takes longer than the limit, the client receives a 504.
    """,
    detection="The component streams, and the limit is above 0 and at most one minute.",
    fix="""
        Raise `responseStartTimeoutSeconds`, unless a short limit is intended.

            responseStartTimeoutSeconds: 300
    """,
    source=(
        "knative.dev, Serving API, RevisionSpec; knative/serving discussion 14462, accessed 2026-11"
    ),
)

IDLE = ConfigRule(
    code="KSV404",
    slug="revision-idle-timeout",
    severity=Severity.ERROR,
    message="idleTimeoutSeconds: Knative cuts a stream after {limit} s of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        `idleTimeoutSeconds` is the longest silence, in seconds, that a Knative revision allows
        within a response. A longer silence ends the response.
    """,
    why="""
        Nothing is sent during a long prefill or a slow tool call, so the limit expires and the
        stream is cut.
    """,
    detection="""
        The component streams, and the limit is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, the limit is compared with twice that
        interval instead. If the heartbeat interval is known, a limit of at most one heartbeat
        interval is an error, and a higher limit is a warning. Without `idleTimeoutSeconds`, Knative
        does not limit silence.
    """,
    fix="""
        Raise `idleTimeoutSeconds`, but not above `timeoutSeconds`.

            idleTimeoutSeconds: 300
    """,
    source="knative.dev, Serving API, RevisionSpec, accessed 2026-11",
)

RULES = (TIMEOUT, TIMEOUT_DEFAULT, RESPONSE_START, IDLE)

_DEFAULTS = {
    True: "Knative cuts off each response after 300 s",
    False: "KServe limits each response to 60 s, if it uses the Gateway API",
    None: (
        "each response is cut after 300 s in Knative mode (Serverless), and after 60 s in Standard "
        "mode with the Gateway API"
    ),
}
# Model servers send the response headers within a minute, so a longer limit does no harm.
_SLOW_HEAD_S = 60.0


def find(one: ServingComponent, source: Source, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    """Find timeouts, explicit or default, that affect a streaming component."""
    entry = entry_at(one.node, one.timeout_key)
    seconds = seconds_in(entry.value.text) if entry else None
    if entry is None:
        yield from _find_default(one, source)
    elif seconds and (severity := total_limit_severity(seconds)) is not None:
        yield _at(
            TIMEOUT, source, entry, "3600", severity,
            setting=one.timeout_key, limit=entry.value.text,
        )  # fmt: skip
    entry = entry_at(one.node, "responseStartTimeoutSeconds")
    seconds = seconds_in(entry.value.text) if entry else None
    if entry is not None and seconds and seconds <= _SLOW_HEAD_S:
        yield _at(RESPONSE_START, source, entry, "300", None, limit=entry.value.text)
    entry = entry_at(one.node, "idleTimeoutSeconds")
    seconds = seconds_in(entry.value.text) if entry else None
    if entry is not None and seconds and (found := silence.severity(seconds)) is not None:
        yield _at(
            IDLE, source, entry, "300", found, limit=entry.value.text, expected=silence.reason
        )


def _find_default(one: ServingComponent, source: Source) -> Iterator[Diagnostic]:
    severity = total_limit_severity(KNATIVE_DEFAULT_S) if one.is_serverless else Severity.INFO
    yield diagnostic_at(
        TIMEOUT_DEFAULT,
        source,
        one.resource.span,
        severity=severity,
        setting=one.timeout_key,
        default=_DEFAULTS[one.is_serverless],
    )


def _at(
    rule: ConfigRule,
    source: Source,
    entry: Entry,
    raised: str,
    severity: Severity | None,
    **evidence: str,
) -> Diagnostic:
    edit = replace_value(source, entry.value, raised)
    span = entry_span(source, entry)
    return diagnostic_at(
        rule, source, span, *((edit,) if edit else ()), severity=severity, **evidence
    )
