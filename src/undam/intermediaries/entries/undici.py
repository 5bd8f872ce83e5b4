"""Node.js fetch (undici)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("undici 8.13.1, client.js:320", checked="2026-11")

ENTRY = Intermediary(
    name="undici",
    title="Node.js fetch (undici)",
    kind="client",
    claims=(
        Behaviour(Aspect.HEAD, "headersTimeout allows 300 s until the head.", evidence=_SOURCE),
        Limit(
            Aspect.CUTS_IDLE,
            300,
            "bodyTimeout cuts a stream after 300 s of silence.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "undici",
            "new Agent({ bodyTimeout: 0, headersTimeout: 0 })",
            evidence=_SOURCE,
        ),
    ),
)
