"""Cloudflare AI Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("developers.cloudflare.com, AI Gateway changelog 2025-02-05", checked="2026-11")
_HEADERS = documented("developers.cloudflare.com/ai-gateway/glossary", checked="2026-11")
_REPORT = documented("MiniMax-M3#22, one report", checked="2026-11")

ENTRY = Intermediary(
    name="cloudflare-ai-gateway",
    title="Cloudflare AI Gateway",
    kind="gateway",
    built_on="cloudflare",
    claims=(
        Sign("cf-aig-log-id", evidence=_HEADERS),
        Sign("cf-aig-event-id", evidence=_HEADERS),
        Sign("cf-aig-cache-status", evidence=_HEADERS),
        Sign("cf-aig-step", evidence=_HEADERS),
        Behaviour(
            Aspect.HOLDS,
            "According to one report, a response was delivered in one piece.",
            evidence=_REPORT,
            conditions={"configuration": "own provider key"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            ("cf-aig-request-timeout, if sent, limits the time to the first byte."),
            evidence=_DOCS,
        ),
    ),
)
