"""Privoxy."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "3.0.34",
    "the stream of scripts/measure-intermediaries through Privoxy as Debian 12 ships it",
    checked="2026-11",
)
_MANUAL = documented("Privoxy 3.0.34 user manual, actions file: filter", checked="2026-11")

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
        Remedy(
            Trouble.HOLD,
            "privoxy",
            "{-filter -deanimate-gifs}  # user.action: no filter for the host of the stream\n/",
            evidence=_MANUAL,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
    ),
)
