"""Rule TRK102: compression of event streams."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

COMPRESS = ConfigRule(
    code="TRK102",
    slug="event-stream-compressed",
    severity=Severity.INFO,
    message=(
        "the middleware {name} compresses event streams; it flushes each event, so nothing is held"
    ),
    safety=Safety.SAFE,
    what="By default `compress` compresses every content type except gRPC.",
    why="""
        Compression has little effect, because each event is flushed. Small events compress poorly,
        and the next hop cannot read compressed events.
    """,
    detection="""
        A streaming route uses a `compress` middleware whose `excludedContentTypes` does not list
        text/event-stream, or whose `includedContentTypes` lists it.
    """,
    measured="""
        Traefik 3.7.15 with gzip and brotli, 300 events sent 5 ms apart: each event arrived
        immediately (TRF102).
    """,
    fix="""
        Exclude event streams from compression.

            compress:
              excludedContentTypes:
                - text/event-stream
    """,
    source=(
        "measured on loopback with Traefik 3.7.15; doc.traefik.io, Kubernetes CRD, Middleware "
        "compress, accessed 2026-11"
    ),
)

RULES = (COMPRESS,)
