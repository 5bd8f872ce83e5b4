"""cloudflared tunnel."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented(
    (
        "cloudflare/cloudflared d1df7985 (2026-08-20), connection.go:283, since "
        "73a9980f (2025-04-24)"
    ),
    checked="2026-11",
)
_ENDPOINT_REPORT = documented("cloudflare/cloudflared#1449, #1496", checked="2026-11")
_DOCS = documented("developers.cloudflare.com, connection limits", checked="2026-11")

ENTRY = Intermediary(
    name="cloudflared",
    title="cloudflared tunnel",
    kind="tunnel",
    built_on="cloudflare",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Since April 2025, it flushes event streams, gRPC, x-ndjson, and every "
                "response that has no Content-Length or is chunked."
            ),
            evidence=_SOURCE,
        ),
        Behaviour(
            Aspect.HOLDS,
            "The edge holds GET streams and forwards POST streams.",
            evidence=_ENDPOINT_REPORT,
            conditions={"endpoint": "quick tunnel"},
        ),
        Limit(
            Aspect.CUTS_IDLE, 125, "The edge cuts a stream after 125 s of silence.", evidence=_DOCS
        ),
        Remedy(
            Trouble.HOLD,
            "cloudflared",
            "cloudflared tunnel create NAME  # a named tunnel; or use POST",
            evidence=_ENDPOINT_REPORT,
            conditions={"endpoint": "quick tunnel"},
        ),
    ),
)
