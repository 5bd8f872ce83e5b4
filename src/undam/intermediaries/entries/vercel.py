"""Vercel."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "vercel.com/docs, fluid-compute and functions/duration (2026-08-24)", checked="2026-11"
)

ENTRY = Intermediary(
    name="vercel",
    title="Vercel",
    kind="cloud",
    claims=(
        Sign("x-vercel-id", evidence=_DOCS),
        Sign("server", "^vercel$", evidence=_DOCS),
        Behaviour(Aspect.HOLDS, "Streams.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            300,
            (
                "maxDuration of the function is 300 s for the whole response by default "
                "on every plan."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            ("The limit can be raised to 800 s (1800 s in beta); on Hobby, 300 s is the maximum."),
            evidence=_DOCS,
            conditions={"plan": "Pro"},
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "vercel",
            "export const maxDuration = 800;",
            evidence=_DOCS,
            conditions={"plan": "Pro"},
        ),
    ),
)
