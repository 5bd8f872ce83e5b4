"""Envoy AI Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "envoyproxy/ai-gateway v1.1.0, api/v1beta1/ai_gateway_route_helper.go", checked="2026-11"
)
_REPORT = documented(
    "envoyproxy/ai-gateway v1.1.0, ai_gateway_route_helper.go; LLMKube#734", checked="2026-11"
)

ENTRY = Intermediary(
    name="envoy-ai-gateway",
    title="Envoy AI Gateway",
    kind="gateway",
    built_on="envoy",
    claims=(
        Behaviour(Aspect.HOLDS, "Its external processor streams.", evidence=_DOCS),
        Limit(Aspect.CUTS_IDLE, None, "streamIdleTimeout is off by default.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            60,
            ("An AIGatewayRoute has an implicit request timeout of 60 s for the whole response."),
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "envoy-ai-gateway",
            ("timeouts:\n  request: 0s  # of the rule of the AIGatewayRoute"),
            evidence=_DOCS,
        ),
    ),
)
