"""Azure Front Door."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "learn.microsoft.com, Front Door troubleshoot-issues, origin response "
        "timeout and HTTP headers"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="azure-front-door",
    title="Azure Front Door",
    kind="cdn",
    claims=(
        Sign("x-azure-ref", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            "The origin response timeout is 30 s (16 to 240).",
            evidence=_DOCS,
            conditions={"plan": "Standard or Premium"},
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "azure-front-door",
            "originResponseTimeoutSeconds: 240",
            evidence=_DOCS,
        ),
    ),
)
