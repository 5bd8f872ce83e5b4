"""Rule TRK201: a setting that looks like a fix but does not affect streams."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

NO_RESPONSE_BUFFER = ConfigRule(
    code="TRK201",
    slug="disable-response-buffer",
    severity=Severity.WARNING,
    message="disableResponseBuffer does not stop the middleware {name} from holding the response",
    safety=Safety.UNSAFE,
    what="""
        `disableResponseBuffer` is meant to stream the response while the request size is limited.
    """,
    why="""
        Traefik 3.7.15 accepts `disableResponseBuffer` in its own configuration, but still holds the
        whole response.
    """,
    detection="A streaming route uses a `buffering` middleware that sets `disableResponseBuffer`.",
    measured="""
        Traefik 3.7.15 with the middleware in a configuration file, 300 events sent 5 ms apart: all
        of them arrived together at the end (TRF201).
    """,
    fix="""
        Remove the `buffering` middleware from the streaming route. With a Traefik version other
        than 3.7.15, measure before you remove the middleware:

            undam check URL --beacon
    """,
    source="measured on loopback with Traefik 3.7.15; doc.traefik.io, Buffering, accessed 2026-11",
)

RULES = (NO_RESPONSE_BUFFER,)
