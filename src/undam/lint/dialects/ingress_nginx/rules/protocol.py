"""ING104: HTTP/1.0 to the service."""

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
        'proxy-http-version "1.0": when the service crashes in mid-stream, '
        "the client receives a clean end"
    ),
    safety=Safety.UNSAFE,
    what="""
        The annotation selects HTTP/1.0 to the service, in which a body ends when the connection is
        closed.
    """,
    why="""
        nginx cannot distinguish the end of a response from a crash, so a truncated answer looks
        complete. Each request needs a new connection, and with buffering the stream arrives in
        blocks of 4 KB.
    """,
    detection='The annotation is "1.0" on a streaming Ingress; the default is 1.1.',
    measured="""
        nginx 1.22.1 with an origin that drops the connection: over 1.0 the client receives a clean
        end; over 1.1, a truncated chunked body.
    """,
    fix="""
        Use HTTP/1.1. The protocol changes for the whole Ingress.

            nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
    """,
    source=(
        "nginx 1.22.1 measured on loopback; kubernetes.github.io/ingress-nginx, user guide, "
        "annotations"
    ),
)

RULES = (OLD_HTTP,)


def find(annotations: StringMap, source: Source) -> Iterator[Diagnostic]:
    """Find an annotation that selects HTTP/1.0."""
    if annotations.value("proxy-http-version") == "1.0":
        yield value_diagnostic(OLD_HTTP, annotations, "proxy-http-version", source, new="1.1")
