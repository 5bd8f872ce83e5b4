"""Netlify."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("docs.netlify.com/build/edge-functions/limits", checked="2026-11")

ENTRY = Intermediary(
    name="netlify",
    title="Netlify",
    kind="cloud",
    claims=(
        Sign("x-nf-request-id", evidence=_DOCS),
        Sign("server", "^netlify$", evidence=_DOCS),
        Behaviour(
            Aspect.HEAD,
            "The head must arrive within 40 s.",
            evidence=_DOCS,
            conditions={"endpoint": "edge function"},
        ),
    ),
)
