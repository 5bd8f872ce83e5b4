"""Rules ING401-ING403: timeouts that cut off streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.ingress_nginx.parser import PREFIX, StringMap, value_diagnostic
from undam.lint.dialects.ingress_nginx.routes import Ingress
from undam.lint.limits import ExpectedSilence, nginx_limit
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Node
from undam.textfiles.tree_edit import insert_entry

READ_TIMEOUT = ConfigRule(
    code="ING401",
    slug="read-timeout-near-heartbeat",
    severity=Severity.WARNING,
    message="proxy-read-timeout is {limit}, {expected}: the stream is cut after a longer silence",
    safety=Safety.SAFE,
    what="""
        nginx ends a response when the service has sent nothing for the duration of
        `proxy-read-timeout`.
    """,
    why="During a long prefill or a tool call, nothing is sent for a minute or more.",
    detection="""
        The `proxy-read-timeout` of a streaming Ingress (60 s without the annotation) is below the
        expected silence (setting `silence`, 300 s by default). If the heartbeat interval is known,
        an idle limit of at most one interval is an error. A limit between one and two intervals is
        a warning.
    """,
    measured="""
        nginx 1.22.1 cut a silent stream at the limit (after 60.06 s); a comment every second kept
        it open.
    """,
    fix="""
        Raise `proxy-read-timeout` to one hour.

            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "annotations, custom timeouts"
    ),
)
READ_TIMEOUT_EVERYWHERE = ConfigRule(
    code="ING402",
    slug="read-timeout-near-heartbeat-everywhere",
    severity=Severity.INFO,
    message=(
        "the streams of every Ingress without its own limit are cut after {limit} of silence, "
        "{expected}"
    ),
    safety=Safety.UNSAFE,
    what="""
        The ConfigMap of ingress-nginx sets `proxy-read-timeout` for the whole cluster; the default
        is 60 s.
    """,
    why="""
        If the limit in the ConfigMap is too short, each streaming Ingress needs its own
        `proxy-read-timeout` annotation. Without that annotation, streams are cut while the model is
        reasoning.
    """,
    detection="""
        The `proxy-read-timeout` in the controller's ConfigMap is below the expected silence
        (setting `silence`, 300 s by default). The severity is info, because the ConfigMap does not
        show which Ingresses stream.
    """,
    measured="The measurements for ING401 apply (nginx 1.22.1).",
    fix="""
        Raise the limit in the ConfigMap; this change affects every Ingress. Alternatively, set the
        annotation on each Ingress that streams.

            proxy-read-timeout: "3600"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "configmap"
    ),
)
SHUTDOWN = ConfigRule(
    code="ING403",
    slug="worker-shutdown-cuts-streams",
    severity=Severity.INFO,
    message=(
        "worker-shutdown-timeout: {limit} after each configuration change, streams that are still "
        "open are cut"
    ),
    safety=Safety.UNSAFE,
    what="""
        After a reload, old workers have at most `worker-shutdown-timeout` to finish their open
        requests.
    """,
    why="""
        Any change to an Ingress in the cluster reloads nginx. Streams that are still open after the
        timeout are cut, even while data or heartbeats are arriving.
    """,
    detection="The ConfigMap sets `worker-shutdown-timeout` below the default of 240 s.",
    fix="""
        Raise `worker-shutdown-timeout` to one hour. With a longer timeout, old workers use memory
        for longer.

            worker-shutdown-timeout: "3600s"
    """,
    source=(
        "kubernetes.github.io/ingress-nginx, user guide, configmap, worker-shutdown-timeout; "
        "nginx.org, ngx_core_module"
    ),
)

RULES = (READ_TIMEOUT, READ_TIMEOUT_EVERYWHERE, SHUTDOWN)

_TIME = re.compile(r"(\d{1,9})(ms|[smhd])")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DEFAULT_SHUTDOWN_S = 240.0
_READ_TIMEOUT = "proxy-read-timeout"
_DEFAULT_READ_S = 60.0


def find_in_ingress(
    ingress: Ingress,
    config_maps: Sequence[StringMap],
    source: Source,
    silence: ExpectedSilence,
) -> Iterator[Diagnostic]:
    """Find a read timeout, explicit or default, that is too short for the streams of an Ingress."""
    annotations = ingress.annotations
    if annotations is not None and annotations.entry(_READ_TIMEOUT) is not None:
        yield from _find_read_timeout(READ_TIMEOUT, annotations, source, silence)
        return
    if any(data.entry(_READ_TIMEOUT) is not None for data in config_maps):
        return
    severity = silence.severity(_DEFAULT_READ_S)
    if severity is None:
        return
    edit = _annotate(source, annotations) if annotations is not None else None
    yield diagnostic_at(
        READ_TIMEOUT,
        source,
        _first_line(source, ingress.owner),
        *((edit,) if edit is not None else ()),
        severity=severity,
        limit="not set, so 60 s apply unless the ConfigMap of the controller sets another limit",
        expected=silence.reason,
    )


def _annotate(source: Source, annotations: StringMap) -> Edit | None:
    return insert_entry(source, annotations.node, PREFIX + _READ_TIMEOUT, "3600")


def _first_line(source: Source, node: Node) -> tuple[int, int]:
    """Return the span of a node on its first line."""
    _, end = source.line_span(node.start)
    text = source.text[node.start : max(min(node.end, end), node.start + 1)]
    return node.start, node.start + max(1, len(text.rstrip()))


def find_in_config_map(
    data: StringMap, source: Source, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Find cluster-wide limits that are too short."""
    yield from _find_read_timeout(READ_TIMEOUT_EVERYWHERE, data, source, silence)
    shutdown = _TIME.fullmatch(data.value("worker-shutdown-timeout"))
    if shutdown and int(shutdown[1]) * _UNITS_S[shutdown[2]] < _DEFAULT_SHUTDOWN_S:
        yield value_diagnostic(
            SHUTDOWN, data, "worker-shutdown-timeout", source, new="3600s", limit=shutdown[0]
        )


def _find_read_timeout(
    rule: ConfigRule, values: StringMap, source: Source, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    text = values.value(_READ_TIMEOUT)
    is_number = re.fullmatch(r"\d{1,9}", text)
    severity, expected = nginx_limit(float(text), silence) if is_number else (None, "")
    if severity is not None:
        is_for_all = rule is READ_TIMEOUT_EVERYWHERE
        yield value_diagnostic(
            rule,
            values,
            _READ_TIMEOUT,
            source,
            new="3600",
            severity=None if is_for_all else severity,
            limit=f"{int(text)} s",
            expected=expected,
        )
