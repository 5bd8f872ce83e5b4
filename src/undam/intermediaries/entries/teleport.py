"""Teleport application access."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("teleport#69560", checked="2026-11")

ENTRY = Intermediary(
    name="teleport",
    title="Teleport application access",
    kind="tunnel",
    claims=(
        Behaviour(
            Aspect.HOLDS, "Holds the whole response, according to a report.", evidence=_REPORT
        ),
    ),
)
