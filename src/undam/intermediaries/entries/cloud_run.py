"""Google Cloud Run."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("cloud.google.com/run/docs/configuring/request-timeout", checked="2026-11")

ENTRY = Intermediary(
    name="cloud-run",
    title="Google Cloud Run",
    kind="cloud",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            300,
            "The request timeout is 300 s for the whole response, at most 3600.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "cloud-run",
            "gcloud run services update NAME --timeout=3600",
            evidence=_DOCS,
        ),
    ),
)
