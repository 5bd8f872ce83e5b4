"""Granian."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("2.8.9", "scripts/measure-intermediaries granian", checked="2026-11")

ENTRY = Intermediary(
    name="granian",
    title="Granian",
    kind="server",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "A WSGI iterable is sent item by item; at most, an event was 6 ms late.",
            evidence=_RUN,
        ),
    ),
)
