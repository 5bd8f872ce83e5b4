"""KServe, serverless mode."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("knative/serving, pkg/apis/config/defaults.go:42", checked="2026-11")

ENTRY = Intermediary(
    name="kserve",
    title="KServe, serverless mode",
    kind="cloud",
    built_on="knative",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            300,
            "Knative's timeoutSeconds is 300 s for the whole response, at most 600.",
            evidence=_DOCS,
            conditions={"endpoint": "serverless"},
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "kserve",
            "timeoutSeconds: 600  # of the revision, and max-revision-timeout-seconds",
            evidence=_DOCS,
        ),
    ),
)
