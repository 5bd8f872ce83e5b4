"""OpenRouter."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("openrouter.ai/docs, api_reference/streaming", checked="2026-11")

ENTRY = Intermediary(
    name="openrouter",
    title="OpenRouter",
    kind="gateway",
    claims=(
        Sign("x-generation-id", evidence=_DOCS),
        Sign(":body", r": OPENROUTER PROCESSING", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Sends comments (`: OPENROUTER PROCESSING`) while the provider is silent, "
                "which prevents cuts by idle limits. A client that parses each line as "
                "JSON fails on them."
            ),
            evidence=_DOCS,
        ),
    ),
)
