"""KrakenD Community Edition."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "luraproject/lura (2026-08-04), config.go and router/gin/render.go; "
        "krakend.io, timeouts and no-op"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="krakend",
    title="KrakenD Community Edition",
    kind="gateway",
    claims=(
        Sign("x-krakend", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds about 4 KB even with the no-op encoding, because it does not "
                "flush. Only the Enterprise Edition has streaming endpoints."
            ),
            evidence=_DOCS,
        ),
        Limit(Aspect.CUTS_TOTAL, 2, "timeout is 2 s for the whole response.", evidence=_DOCS),
        Remedy(Trouble.TOTAL_LIMIT, "krakend", '"timeout": "3600s"', evidence=_DOCS),
    ),
)
