"""openai-java."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("openai-java, read in its source", checked="2026-11")

ENTRY = Intermediary(
    name="openai-java",
    title="openai-java",
    kind="client",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            600,
            "10 min for the whole call, the stream included.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT, "openai-java", ".timeout(Duration.ofHours(1))", evidence=_SOURCE
        ),
    ),
)
