"""Railway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "docs.railway.com, specs-and-limits (PR #1219, 2026-06-24); measured by "
        "robhunter/agentdeals#1098 (300.4 s)"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="railway",
    title="Railway",
    kind="cloud",
    claims=(
        Sign("x-railway-request-id", evidence=_DOCS),
        Sign("x-railway-edge", evidence=_DOCS),
        Behaviour(Aspect.HOLDS, "Streams.", evidence=_DOCS),
        Limit(Aspect.CUTS_IDLE, 300, "A stream is cut after 5 min of silence.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL, 900, "The limit for the whole response is 15 min.", evidence=_DOCS
        ),
    ),
)
