"""WSO2 AI Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "wso2.com, ai-gateway 1.2, streaming-responses and ai-workload-tuning", checked="2026-11"
)

ENTRY = Intermediary(
    name="wso2-ai-gateway",
    title="WSO2 AI Gateway",
    kind="gateway",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "Streams SSE and chunked responses; MCP responses are buffered.",
            evidence=_DOCS,
            since="1.2",
        ),
        Limit(Aspect.CUTS_TOTAL, 60, "The route timeout is 60 s.", evidence=_DOCS, since="1.2"),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "wso2-ai-gateway",
            "route_timeout_ms = 3600000",
            evidence=_DOCS,
            since="1.2",
        ),
    ),
)
