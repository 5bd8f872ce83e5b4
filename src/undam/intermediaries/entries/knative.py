"""Knative Serving."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("knative/serving, pkg/apis/config/defaults.go:42", checked="2026-11")

ENTRY = Intermediary(
    name="knative",
    title="Knative Serving",
    kind="cloud",
    claims=(
        Behaviour(Aspect.HEAD, "The response must start within 300 s.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            300,
            "timeoutSeconds is 300 s for the whole response, at most 600.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "knative",
            "timeoutSeconds: 600  # and max-revision-timeout-seconds in config-defaults",
            evidence=_DOCS,
        ),
    ),
)
