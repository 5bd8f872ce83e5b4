"""ZAP."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("zaproxy#5003", checked="2026-11")

ENTRY = Intermediary(
    name="zap",
    title="ZAP",
    kind="inspector",
    claims=(
        Sign(":tls-issuer", r"Zed Attack Proxy", evidence=_REPORT),
        Behaviour(
            Aspect.HOLDS,
            "Holds the whole response, except event streams, which are forwarded.",
            evidence=_REPORT,
        ),
    ),
)
