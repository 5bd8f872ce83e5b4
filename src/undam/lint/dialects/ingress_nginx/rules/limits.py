"""ING401-ING403: timeouts that cut streams."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.ingress_nginx.parser import StringMap, value_diagnostic
from undam.rules import Severity
from undam.textfiles.source import Source

READ_TIMEOUT = ConfigRule(
    code="ING401",
    slug="read-timeout-near-heartbeat",
    severity=Severity.WARNING,
    message=(
        "proxy-read-timeout is {limit} s: a silence of that length ends the stream, "
        "and the heartbeat interval is {heartbeat} s"
    ),
    safety=Safety.SAFE,
    what="nginx ends a response when the service has sent nothing for this long.",
    why="During a long prefill or a tool call, nothing is sent for a minute or more.",
    detection="""
        The annotation of a streaming Ingress, 60 s by default, is at most twice the heartbeat
        interval (setting `heartbeat`, 15 s by default). One late heartbeat is then enough to cut
        the stream.
    """,
    measured="""
        nginx 1.22.1 cut a silent stream at its limit (60.06 s); a comment every second kept it
        open.
    """,
    fix="""
        Raise the limit.

            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=(
        "nginx 1.22.1 measured on loopback; kubernetes.github.io/ingress-nginx, user guide, "
        "annotations, custom timeouts"
    ),
)
READ_TIMEOUT_EVERYWHERE = ConfigRule(
    code="ING402",
    slug="read-timeout-near-heartbeat-everywhere",
    severity=Severity.INFO,
    message=(
        "every Ingress without its own limit is cut after {limit} s of silence, "
        "and the heartbeat interval is {heartbeat} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        The ConfigMap of ingress-nginx lowers the limit for the whole cluster; its default is 60 s.
    """,
    why="""
        Each streaming Ingress then needs an annotation of its own. Without it, streams are cut
        while the model is reasoning.
    """,
    detection="""
        proxy-read-timeout in the ConfigMap of the controller is at most twice the heartbeat
        interval. The severity is info, because the ConfigMap does not show which Ingresses stream.
    """,
    measured="nginx 1.22.1, with the results of ING401.",
    fix="""
        Raise the limit, which changes every Ingress, or set the annotation on those that stream.

            proxy-read-timeout: "3600"
    """,
    source=(
        "nginx 1.22.1 measured on loopback; kubernetes.github.io/ingress-nginx, user guide, "
        "configmap"
    ),
)
SHUTDOWN = ConfigRule(
    code="ING403",
    slug="worker-shutdown-cuts-streams",
    severity=Severity.INFO,
    message=(
        "worker-shutdown-timeout {limit}: after every change of the configuration, "
        "streams that are still open are cut when this time is over"
    ),
    safety=Safety.UNSAFE,
    what="After a reload, old workers finish their open requests for at most this long.",
    why="""
        Any change of an Ingress in the cluster reloads nginx, and each stream that is still open
        when the time is over is cut, even while data is arriving. Heartbeats do not help.
    """,
    detection="The ConfigMap sets it below 240 s, the default.",
    fix="""
        Raise the limit. Old workers then use memory for longer.

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


def find_in_ingress(
    annotations: StringMap, source: Source, heartbeat_s: float
) -> Iterator[Diagnostic]:
    """Find a read timeout of an Ingress that is too short."""
    yield from _find_read_timeout(READ_TIMEOUT, annotations, source, heartbeat_s)


def find_in_config_map(data: StringMap, source: Source, heartbeat_s: float) -> Iterator[Diagnostic]:
    """Find limits of the whole cluster that are too short."""
    yield from _find_read_timeout(READ_TIMEOUT_EVERYWHERE, data, source, heartbeat_s)
    shutdown = _TIME.fullmatch(data.value("worker-shutdown-timeout"))
    if shutdown and int(shutdown[1]) * _UNITS_S[shutdown[2]] < _DEFAULT_SHUTDOWN_S:
        yield value_diagnostic(
            SHUTDOWN, data, "worker-shutdown-timeout", source, new="3600s", limit=shutdown[0]
        )


def _find_read_timeout(
    rule: ConfigRule, values: StringMap, source: Source, heartbeat_s: float
) -> Iterator[Diagnostic]:
    text = values.value("proxy-read-timeout")
    if re.fullmatch(r"\d{1,9}", text) and 0 < int(text) <= 2 * heartbeat_s:
        yield value_diagnostic(
            rule,
            values,
            "proxy-read-timeout",
            source,
            new="3600",
            limit=int(text),
            heartbeat=f"{heartbeat_s:g}",
        )
