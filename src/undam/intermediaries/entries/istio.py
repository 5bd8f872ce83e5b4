"""Istio."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "istio/istio (2026-08-22), listener_builder.go:440 and "
        "connection_settings.go; istio.io, request timeouts"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="istio",
    title="Istio",
    kind="proxy",
    built_on="envoy",
    claims=(
        Sign("server", "^istio-envoy$", evidence=_DOCS),
        Behaviour(Aspect.HOLDS, "Streams like Envoy.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            ("No idle limit: sidecars, gateways and waypoints set the stream idle timeout to 0."),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            300,
            "A gateway with this profile cuts a stream after 5 min of silence.",
            evidence=_DOCS,
            conditions={"configuration": "ConnectionSettings profile EDGE"},
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            "The timeout of the whole request is off by default since 1.5.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "istio",
            ("kind: VirtualService\nspec:\n  http:\n    - timeout: 0s"),
            evidence=_DOCS,
        ),
    ),
)
