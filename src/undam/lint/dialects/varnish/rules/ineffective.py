"""Rule VRN201: a timeout that is set too late to take effect."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.varnish.parser import VclFile
from undam.lint.dialects.varnish.routes import VclRoutes
from undam.rules import Severity

TOO_LATE = ConfigRule(
    code="VRN201",
    slug="backend-timeout-set-too-late",
    severity=Severity.WARNING,
    message=(
        "'{name}' has no effect in vcl_backend_response: "
        "the limits of a fetch are fixed when it starts"
    ),
    safety=Safety.NONE,
    what="""
        Varnish reads the limits of a fetch when the fetch starts. `set bereq.between_bytes_timeout`
        compiles in vcl_backend_response, but that subroutine runs after the fetch has started.
    """,
    why="""
        Varnish still cuts streams after 60 s of silence, although the configuration raises the
        limit.
    """,
    detection="""
        A `set` of bereq.between_bytes_timeout or bereq.first_byte_timeout in vcl_backend_response
        applies to a streaming response.
    """,
    measured="""
        varnish 7.1.1 with a limit of 2 s in the backend and 1 h set in vcl_backend_response closed
        a stream that was silent for 4.5 s. With 1 h set in vcl_backend_fetch, the stream passed.
    """,
    fix="""
        Set the limit before the fetch starts, in vcl_backend_fetch. There is no automatic fix,
        because the conditions around the line may depend on the response.

            sub vcl_backend_fetch {
                set bereq.between_bytes_timeout = 3600s;
            }
    """,
    source="measured on loopback with varnish 7.1.1",
)

RULES = (TOO_LATE,)

_LIMITS = frozenset({"bereq.between_bytes_timeout", "bereq.first_byte_timeout"})


def find(vcl: VclFile, routes: VclRoutes) -> Iterator[Diagnostic]:
    """Find timeouts for a fetch that are set after the fetch has started."""
    for statement in vcl.statements:
        name, value = statement.assignment
        is_late = name in _LIMITS and statement.sub == "vcl_backend_response"
        if is_late and value is not None and routes.applies(statement):
            span = statement.tokens[1].span
            yield diagnostic_at(TOO_LATE, statement.source, span, name=name)
