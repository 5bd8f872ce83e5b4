"""ngrok AI Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("ngrok.com/changelog/ai-gateway-longer-streams (2026-10-04)", checked="2026-11")

ENTRY = Intermediary(
    name="ngrok-ai-gateway",
    title="ngrok AI Gateway",
    kind="gateway",
    claims=(
        Behaviour(Aspect.HEAD, "The first byte must arrive within 60 s.", evidence=_DOCS),
        Limit(Aspect.CUTS_IDLE, 30, "A stream is cut after 30 s of silence.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            900,
            "The limit for the whole response is 15 min (120 s before October 2026).",
            evidence=_DOCS,
        ),
    ),
)
