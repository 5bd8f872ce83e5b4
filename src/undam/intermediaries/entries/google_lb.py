"""Google Cloud external Application Load Balancer."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("cloud.google.com, compute API, backend service timeoutSec", checked="2026-11")

ENTRY = Intermediary(
    name="google-lb",
    title="Google Cloud external Application Load Balancer",
    kind="cloud",
    claims=(
        Sign("via", r"^1\.1 google$", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            30,
            "timeoutSec of the backend service is 30 s for the whole response.",
            evidence=_DOCS,
        ),
        Remedy(Trouble.TOTAL_LIMIT, "google-lb", "timeoutSec: 3600", evidence=_DOCS),
    ),
)
