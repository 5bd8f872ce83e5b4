"""Privoxy."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "3.0.34",
    "the stream of scripts/measure-intermediaries through Privoxy as Debian 12 ships it",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="privoxy",
    title="Privoxy",
    kind="inspector",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds the whole response in its default configuration, because filters "
                "read the body: 60 events arrived in one read at the end."
            ),
            evidence=_RUN,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
    ),
)
