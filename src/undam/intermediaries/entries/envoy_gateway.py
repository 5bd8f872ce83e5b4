"""Envoy Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "envoyproxy/gateway v1.9.0 (2026-08-21), gatewayapi/route.go and "
        "xds/translator/route.go; gateway.envoyproxy.io, HTTP timeouts"
    ),
    checked="2026-11",
)
_REPORT = documented("reports nvcf#1060 (15.006 s) and modelplane#174", checked="2026-11")

ENTRY = Intermediary(
    name="envoy-gateway",
    title="Envoy Gateway",
    kind="gateway",
    built_on="envoy",
    claims=(
        Behaviour(Aspect.HOLDS, "Streams like Envoy.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            300,
            (
                "On a route without timeouts, a stream is cut after 5 min of silence. A "
                "request timeout raises this limit to at least 1 h, and `0s` disables it."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            15,
            "A route without timeouts is cut 15 s after its start.",
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "envoy-gateway",
            (
                "kind: BackendTrafficPolicy\n"
                "spec:\n"
                "  timeout:\n"
                "    http:\n"
                '      requestTimeout: "0s"'
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "envoy-gateway",
            (
                "kind: BackendTrafficPolicy\n"
                "spec:\n"
                "  timeout:\n"
                "    http:\n"
                "      streamIdleTimeout: 1h"
            ),
            evidence=_DOCS,
            since="1.8",
        ),
    ),
)
