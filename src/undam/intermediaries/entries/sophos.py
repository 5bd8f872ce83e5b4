"""Sophos web protection."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("caniuse#2148, dozzle#1802", checked="2026-11")

ENTRY = Intermediary(
    name="sophos",
    title="Sophos web protection",
    kind="inspector",
    claims=(
        Sign(":tls-issuer", r"\bO=Sophos\b|\bCN=Sophos\b", evidence=_REPORT),
        Behaviour(
            Aspect.HOLDS,
            "Holds the whole body of a plain-HTTP response.",
            evidence=_REPORT,
            conditions={"endpoint": "plain HTTP"},
        ),
        Remedy(
            Trouble.HOLD,
            "sophos",
            "# serve the stream over HTTPS, or add an exception for the host",
            evidence=_REPORT,
        ),
    ),
)
