"""APISIX ai-proxy, AISIX."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("apache/apisix, CHANGELOG 3.17 (#13250)", checked="2026-11")
_REPORT = documented("aisix PR #512", checked="2026-11")

ENTRY = Intermediary(
    name="apisix-ai-proxy",
    title="APISIX ai-proxy, AISIX",
    kind="gateway",
    built_on="apisix",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "Both hold the response.",
            evidence=_REPORT,
            conditions={"configuration": "moderation plugins"},
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            "max_stream_duration_ms, if set, limits the whole response.",
            evidence=_DOCS,
            since="3.17",
        ),
    ),
)
