"""ngrok."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("ngrok-docs, endpoints/cloud-endpoints/http.mdx:422", checked="2026-11")

ENTRY = Intermediary(
    name="ngrok",
    title="ngrok",
    kind="tunnel",
    claims=(
        Limit(Aspect.CUTS_IDLE, 300, "A stream is cut after 5 min of silence.", evidence=_DOCS),
        Limit(Aspect.CUTS_TOTAL, None, "No limit on the whole response.", evidence=_DOCS),
    ),
)
