"""Hypercorn."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("0.18.0", "scripts/measure-intermediaries hypercorn", checked="2026-11")

ENTRY = Intermediary(
    name="hypercorn",
    title="Hypercorn",
    kind="server",
    claims=(Behaviour(Aspect.HOLDS, "Sends each item at once.", evidence=_RUN),),
)
