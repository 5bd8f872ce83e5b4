"""Go httputil.ReverseProxy."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "go 1.19",
    "undam check --beacon through a relay of ten lines",
    checked="2026-11",
    source="pkg.go.dev, net/http/httputil",
)

ENTRY = Intermediary(
    name="go-reverseproxy",
    title="Go httputil.ReverseProxy",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            ("Streams: it flushes event streams and bodies without a length at once."),
            evidence=_RUN,
        ),
        Limit(Aspect.CUTS_IDLE, None, "It has no limit of its own.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms, even in silence.",
            evidence=_RUN,
        ),
    ),
)
