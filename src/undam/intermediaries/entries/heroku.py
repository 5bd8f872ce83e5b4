"""Heroku."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("devcenter.heroku.com, http-routing (2024-05)", checked="2026-11")

ENTRY = Intermediary(
    name="heroku",
    title="Heroku",
    kind="cloud",
    claims=(
        Sign("via", r"\b(vegur|heroku-router)\b", evidence=_DOCS),
        Behaviour(Aspect.HOLDS, "Streams.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            55,
            "First byte within 30 s, then 55 s of silence; neither can be changed.",
            evidence=_DOCS,
        ),
    ),
)
