"""Azure Container Apps."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "learn.microsoft.com, arm-appcontainers, IngressConfiguration", checked="2026-11"
)

ENTRY = Intermediary(
    name="azure-container-apps",
    title="Azure Container Apps",
    kind="cloud",
    built_on="envoy",
    claims=(
        Behaviour(Aspect.HOLDS, "Streams like Envoy.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            240,
            "requestIdleTimeout cuts a stream after 4 min of silence (4 to 30).",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT, "azure-container-apps", "requestIdleTimeout: 30", evidence=_DOCS
        ),
    ),
)
