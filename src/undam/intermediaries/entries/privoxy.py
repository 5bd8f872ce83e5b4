"""Privoxy."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "Debian 12 package",
    "undam check --beacon through Privoxy with its default filters",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="privoxy",
    title="Privoxy",
    kind="inspector",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            ("Holds the whole response in its default configuration, since filters read the body."),
            evidence=_RUN,
        ),
    ),
)
