"""Higress."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("higress, helm/core/values.yaml:740", checked="2026-11")
_REPORT = documented("gpustack#4725, 10 s without a head", checked="2026-11")

ENTRY = Intermediary(
    name="higress",
    title="Higress",
    kind="gateway",
    built_on="envoy",
    claims=(
        Behaviour(Aspect.HOLDS, "Streams like Envoy.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            10,
            ("upstream.idleTimeout cuts a stream after 10 s of silence from the upstream."),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "downstream.idleTimeout: 180 s.",
            evidence=_DOCS,
            conditions={"endpoint": "downstream"},
        ),
        Behaviour(
            Aspect.HEAD, "A response whose head takes longer than 10 s is cut.", evidence=_REPORT
        ),
        Remedy(Trouble.IDLE_LIMIT, "higress", ("upstream:\n  idleTimeout: 3600"), evidence=_DOCS),
    ),
)
