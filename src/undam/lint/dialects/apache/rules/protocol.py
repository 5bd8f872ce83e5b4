"""APA105: HTTP/1.0 towards the origin."""

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
        "force-proxy-request-1.0: when the origin crashes in mid-stream, the client receives "
        "a clean end"
    ),
    safety=Safety.UNSAFE,
    what="""
        The variable makes mod_proxy_http use HTTP/1.0, in which a body ends when the connection is
        closed.
    """,
    why="""
        httpd cannot distinguish the end of a response from a crash of the origin, and ends its own
        response properly. A truncated answer looks complete.
    """,
    detection="""
        `SetEnv force-proxy-request-1.0` applies where a streaming route is proxied over HTTP.
    """,
    measured="""
        httpd 2.4.71, an origin that drops the connection after 50 of 200 events: with the variable
        the client receives a clean end; without it, a truncated chunked body, which every HTTP
        client reports as an error.
    """,
    fix="""
        Remove the line. Everything in the same section then uses HTTP/1.1.

            # no SetEnv force-proxy-request-1.0
    """,
    source=(
        "measured on loopback with httpd 2.4.71; httpd.apache.org, mod_proxy, environment "
        "variables; RFC 9112, 8"
    ),
)

RULES = (HTTP_10,)


def find(scopes: list[ApacheScope]) -> Iterator[Diagnostic]:
    """Find SetEnv lines that force HTTP/1.0."""
    for one in settings_of(scopes, "setenv")[-MAX_COMPARED:]:
        if one.texts[0].lower() == "force-proxy-request-1.0":
            is_one_line = "\n" not in one.source.text[one.start : one.end]
            edits = [delete_line(one.source, one.start)] if is_one_line else []
            yield diagnostic_at(HTTP_10, one.source, one.span, *edits)
