"""Azure API Management."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "MicrosoftDocs/azure-docs, how-to-server-sent-events (2025-10-08)", checked="2026-11"
)

ENTRY = Intermediary(
    name="azure-apim",
    title="Azure API Management",
    kind="cloud",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds the response unless the forwarding policy disables buffering; "
                "logging of bodies, validate-content and response caching also hold it."
            ),
            evidence=_DOCS,
        ),
        Behaviour(
            Aspect.HOLDS,
            "Event streams are not supported.",
            evidence=_DOCS,
            conditions={"plan": "Consumption"},
        ),
        Limit(Aspect.CUTS_IDLE, 240, "A stream is cut after 4 min of silence.", evidence=_DOCS),
        Remedy(
            Trouble.HOLD, "azure-apim", '<forward-request buffer-response="false"/>', evidence=_DOCS
        ),
    ),
)
