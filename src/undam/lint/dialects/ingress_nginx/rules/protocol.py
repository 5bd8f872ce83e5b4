"""Rule ING104: HTTP/1.0 requests to the service."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.ingress_nginx.parser import StringMap, value_diagnostic
from undam.rules import Severity
from undam.textfiles.source import Source

OLD_HTTP = ConfigRule(
    code="ING104",
    slug="old-http-upstream",
    severity=Severity.WARNING,
    message=(
        'proxy-http-version "1.0": if the service crashes during a stream, the response '
        "to the client still ends normally"
    ),
    safety=Safety.UNSAFE,
    what="""
        The annotation `proxy-http-version: "1.0"` makes nginx use HTTP/1.0 to the service. Over
        HTTP/1.0, the end of the connection marks the end of the body.
    """,
    why="""
        nginx cannot distinguish the end of a response from a crash, so a truncated answer looks
        complete. Over HTTP/1.0, each request also needs a new connection. With buffering, the
        stream arrives in blocks of 4 KB.
    """,
    detection="""
        A streaming Ingress sets the annotation `proxy-http-version` to "1.0"; the default is 1.1.
    """,
    measured="""
        nginx 1.22.1 with an origin that dropped the connection: over HTTP/1.0, the response ended
        normally; over HTTP/1.1, the client received a truncated chunked body.
    """,
    fix="""
        Use HTTP/1.1. The change applies to the whole Ingress.

            nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "annotations"
    ),
)

RULES = (OLD_HTTP,)


def find(annotations: StringMap, source: Source) -> Iterator[Diagnostic]:
    """Find an annotation that selects HTTP/1.0."""
    if annotations.value("proxy-http-version") == "1.0":
        yield value_diagnostic(OLD_HTTP, annotations, "proxy-http-version", source, new="1.1")
