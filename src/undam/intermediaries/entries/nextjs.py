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

_RUN = measured(
    "16.4.6",
    "next start with a route handler and a rewrite to the origin of the script",
    checked="2026-11",
    source="nextjs.org, compress",
)
_SOURCE = documented("next 16.4.6, router-utils/proxy-request.js:37", checked="2026-11")
_ISSUE = documented("next.js#66263", checked="2026-11")

ENTRY = Intermediary(
    name="nextjs",
    title="Next.js",
    kind="framework",
    claims=(
        Sign("x-powered-by", r"^next\.js\b", evidence=_SOURCE),
        Behaviour(
            Aspect.HOLDS,
            "Route handlers stream, because the compressor is flushed per chunk.",
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Responses through rewrites() are compressed without a flush: 60 events "
                "arrived in one read at the end."
            ),
            evidence=_RUN,
            conditions={"configuration": "rewrites() and a client that accepts gzip"},
        ),
        Behaviour(
            Aspect.HEAD,
            "The head waits for the first byte of the body.",
            evidence=_RUN,
            conditions={"configuration": "rewrites()"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            (
                "`experimental.proxyTimeout` cuts a stream after 30 s of silence; the "
                "body is truncated."
            ),
            evidence=_RUN,
            conditions={"configuration": "rewrites()"},
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "An orderly close is forwarded as a truncated body. A reset adds the text "
                '"Internal Server Error" and ends the stream cleanly.'
            ),
            evidence=_RUN,
            conditions={"configuration": "rewrites()"},
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms.",
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
