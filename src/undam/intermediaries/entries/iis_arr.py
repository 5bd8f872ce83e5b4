"""IIS with ARR, ANCM or iisnode."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented(
    "aspnetcore#55654, yarp#533, iisnode#504; figures not confirmed by a primary source",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="iis-arr",
    title="IIS with ARR, ANCM or iisnode",
    kind="proxy",
    claims=(
        Sign("x-powered-by", r"^arr\b", evidence=_REPORT),
        Behaviour(
            Aspect.HOLDS,
            "responseBufferLimit: up to 4 MB of a response are held.",
            evidence=_REPORT,
        ),
        Limit(Aspect.CUTS_IDLE, 120, "The proxy timeout of ARR is 120 s.", evidence=_REPORT),
        Remedy(Trouble.HOLD, "iis-arr", 'responseBufferLimit="0"', evidence=_REPORT),
    ),
)
