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
            (
                "The first byte must arrive within 30 s; after that, a stream is cut "
                "after 55 s of silence. Neither limit can be changed."
            ),
            evidence=_DOCS,
        ),
    ),
)
