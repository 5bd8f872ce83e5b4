"""Azure Application Gateway v2."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "MicrosoftDocs/azure-docs, use-server-sent-events and "
        "configuration-http-settings (2025-04-14)"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="azure-application-gateway",
    title="Azure Application Gateway v2",
    kind="cloud",
    claims=(
        Sign("server", "^microsoft-azure-application-gateway/", evidence=_DOCS),
        Behaviour(Aspect.HOLDS, "Response buffering is on by default.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "The request timeout of the backend setting (1 to 86400 s) must exceed "
                "the longest gap of the stream. The documentation gives no default."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "azure-application-gateway",
            "globalConfiguration.enableResponseBuffering=false",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT, "azure-application-gateway", "requestTimeout: 3600", evidence=_DOCS
        ),
    ),
)
