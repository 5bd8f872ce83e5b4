"""Contour."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "projectcontour/contour 1.33.6 (2026-08-18), httpproxy.go:1230 and "
        "configuration.md; projectcontour.io, timeoutPolicy"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="contour",
    title="Contour",
    kind="proxy",
    built_on="envoy",
    claims=(
        Behaviour(Aspect.HOLDS, "Streams like Envoy.", evidence=_DOCS),
        Limit(Aspect.CUTS_IDLE, 300, "Envoy's stream idle timeout is 5 min.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            15,
            "Envoy's route timeout is 15 s for the whole response.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT, "contour", ("timeoutPolicy:\n  response: infinity"), evidence=_DOCS
        ),
        Remedy(Trouble.IDLE_LIMIT, "contour", ("timeoutPolicy:\n  idle: 1h"), evidence=_DOCS),
    ),
)
