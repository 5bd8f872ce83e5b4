"""Bunny CDN."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("bunny.net/docs/cdn/server-sent-events", checked="2026-11")

ENTRY = Intermediary(
    name="bunny",
    title="Bunny CDN",
    kind="cdn",
    claims=(
        Sign("server", r"^bunnycdn\b", evidence=_DOCS),
        Sign("cdn-pullzone", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams each event of an uncacheable response. A response without "
                "Cache-Control is cached for a month."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "The edge closes silent connections; no source gives the limit. A "
                "heartbeat every 15 s is recommended."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "The first byte must arrive within 60 s.",
            evidence=_DOCS,
            conditions={"endpoint": "edge script"},
        ),
        Remedy(Trouble.HOLD, "origin", "Cache-Control: no-cache", evidence=_DOCS),
    ),
)
