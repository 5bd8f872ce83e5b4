"""Bifrost."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("bifrost#5010, #5212, #4542 (closed), PR #6473", checked="2026-11")
_DOCS = documented("docs.getbifrost.ai, providers/response-headers", checked="2026-11")

ENTRY = Intermediary(
    name="bifrost",
    title="Bifrost",
    kind="gateway",
    claims=(
        Sign("x-bifrost-request-type", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds the first chunks. The Bedrock adapter held the whole response before "
                "#4542 was closed."
            ),
            evidence=_REPORT,
            conditions={"configuration": "throughput guard"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            120,
            (
                "stream_idle_timeout_in_seconds cuts a stream after 120 s of silence from "
                "the provider."
            ),
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "bifrost",
            '"stream_idle_timeout_in_seconds": 3600',
            evidence=_REPORT,
        ),
    ),
)
