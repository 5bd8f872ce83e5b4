"""Next.js."""

from __future__ import annotations

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Limit,
    Remedy,
    Sign,
    Trouble,
    documented,
    measured,
)
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented(
    ("next 16.4.6, pipe-readable.js and router-utils/proxy-request.js:37; nextjs.org, compress"),
    checked="2026-11",
)
_RUN = measured(
    "httpxy 0.5.6",
    "a rewrite with proxyTimeout 1 s: a flowing stream of 3 s passes, a silence is cut after 1.0 s",
    checked="2026-11",
)
_ISSUE = documented("next.js#66263", checked="2026-11")

ENTRY = Intermediary(
    name="nextjs",
    title="Next.js",
    kind="framework",
    claims=(
        Sign("x-powered-by", r"^next\.js\b", evidence=_SOURCE),
        Behaviour(
            Aspect.HOLDS,
            "Route handlers stream: the compressor is flushed per chunk.",
            evidence=_SOURCE,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "What rewrites() relays is compressed without a flush, so a client that "
                "accepts gzip gets blocks."
            ),
            evidence=_SOURCE,
            conditions={"configuration": "rewrites() or a raw res.write"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            ("`experimental.proxyTimeout`: 30 s of silence, then the stream is truncated."),
            evidence=_RUN,
            conditions={"configuration": "rewrites()"},
        ),
        Remedy(Trouble.HOLD, "nextjs", "Cache-Control: no-cache, no-transform", evidence=_ISSUE),
        Remedy(
            Trouble.COMPRESSION, "nextjs", "Cache-Control: no-cache, no-transform", evidence=_ISSUE
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "nextjs",
            "experimental: { proxyTimeout: 3_600_000 },  // next.config.js, for rewrites()",
            evidence=_SOURCE,
        ),
    ),
)
