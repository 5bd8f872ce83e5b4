"""Portkey AI gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Sign, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("Portkey-AI/gateway, src/index.ts and handlerUtils.ts", checked="2026-11")
_DOCS = documented("portkey.ai/docs, inference-api/response-schema", checked="2026-11")
_REPORT = documented("Portkey-AI/gateway#1797", checked="2026-11")

ENTRY = Intermediary(
    name="portkey",
    title="Portkey AI gateway",
    kind="gateway",
    claims=(
        Sign("x-portkey-trace-id", evidence=_DOCS),
        Sign("x-portkey-last-used-option-index", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            "Streams; output guardrails run before the end of the stream.",
            evidence=_SOURCE,
        ),
        Behaviour(
            Aspect.COMPRESSION,
            "Its compression on Node.js skips event streams.",
            evidence=_SOURCE,
        ),
        Limit(Aspect.CUTS_TOTAL, None, "requestTimeout is not set by default.", evidence=_SOURCE),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            "According to one report, a cut response looks complete.",
            evidence=_REPORT,
        ),
    ),
)
