"""Rule APA105: HTTP/1.0 requests to the origin."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.apache.parser import ApacheScope
from undam.lint.dialects.apache.routes import MAX_COMPARED, settings_of
from undam.rules import Severity
from undam.textfiles.edits import delete_line

HTTP_10 = ConfigRule(
    code="APA105",
    slug="old-http-to-origin",
    severity=Severity.WARNING,
    message=(
        "with force-proxy-request-1.0, a response ends normally even if the origin crashes during "
        "the stream"
    ),
    safety=Safety.UNSAFE,
    what="""
        `force-proxy-request-1.0` makes mod_proxy_http use HTTP/1.0, where a response body ends when
        the connection closes.
    """,
    why="""
        Over HTTP/1.0, httpd cannot distinguish an origin crash from the end of the response. httpd
        therefore ends its own response normally. A truncated answer looks complete to the client.
    """,
    detection="""
        `SetEnv force-proxy-request-1.0` applies to a streaming route that is proxied over HTTP.
    """,
    measured="""
        httpd 2.4.71 with an origin that dropped the connection after 50 of 200 events: with
        `force-proxy-request-1.0`, the response ended normally. Without it, the chunked body was
        truncated; every HTTP client reports a truncated chunked body as an error.
    """,
    fix="""
        Remove the `SetEnv` line. Without the `SetEnv` line, all proxied requests in the same
        section use HTTP/1.1.

            # no SetEnv force-proxy-request-1.0
    """,
    source=(
        "measured on loopback with httpd 2.4.71; httpd.apache.org, mod_proxy, environment "
        "variables; RFC 9112, section 8"
    ),
)

RULES = (HTTP_10,)


def find(scopes: list[ApacheScope]) -> Iterator[Diagnostic]:
    """Find SetEnv directives that force HTTP/1.0."""
    for one in settings_of(scopes, "setenv")[-MAX_COMPARED:]:
        if one.texts[0].lower() == "force-proxy-request-1.0":
            is_one_line = "\n" not in one.source.text[one.start : one.end]
            edits = [delete_line(one.source, one.start)] if is_one_line else []
            yield diagnostic_at(HTTP_10, one.source, one.span, *edits)
