"""Rule TRK101: the buffering middleware."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

BUFFERING = ConfigRule(
    code="TRK101",
    slug="buffering-middleware",
    severity=Severity.ERROR,
    message="the middleware {name} reads the whole response before it sends the first byte",
    safety=Safety.UNSAFE,
    what="""
        A Middleware with `buffering` reads the whole request and the whole response into memory or
        to disk.
    """,
    why="Nothing reaches the client before the model has finished, not even the response head.",
    detection="""
        A streaming route of an IngressRoute, or a streaming Ingress, uses a `buffering` middleware,
        directly or through a chain, in the same file or in a file beside it.
    """,
    measured="""
        Traefik 3.7.15 with the middleware in a configuration file, 300 events sent 5 ms apart: all
        of them arrived together at the end; without the middleware, each event arrived immediately
        (TRF101).
    """,
    fix="""
        Remove the `buffering` middleware from the streaming route. Without the middleware, its
        limit on the request size no longer applies to this route.

            routes:
              - match: PathPrefix(`/v1`)
                middlewares:
                  - name: auth        without the one that buffers
    """,
    source=(
        "measured on loopback with Traefik 3.7.15; doc.traefik.io, Kubernetes CRD, Middleware "
        "buffering, accessed 2026-11"
    ),
)

RULES = (BUFFERING,)
