"""Azure App Service."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("learn.microsoft.com, Q&A 1332955 and 1465927", checked="2026-11")

ENTRY = Intermediary(
    name="azure-app-service",
    title="Azure App Service",
    kind="cloud",
    claims=(
        Limit(
            Aspect.CUTS_IDLE,
            230,
            (
                "The load balancer cuts a response after 230 s without a byte. The limit "
                "cannot be changed, but heartbeats prevent the cut."
            ),
            evidence=_DOCS,
        ),
    ),
)
