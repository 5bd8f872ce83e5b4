"""openai-java."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("openai-java, source code", checked="2026-11")

ENTRY = Intermediary(
    name="openai-java",
    title="openai-java",
    kind="client",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            600,
            "The limit is 10 min for the whole call, including the stream.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT, "openai-java", ".timeout(Duration.ofHours(1))", evidence=_SOURCE
        ),
    ),
)
