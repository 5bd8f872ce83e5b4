"""AWS App Runner."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "docs.aws.amazon.com, App Runner, developing application code", checked="2026-11"
)

ENTRY = Intermediary(
    name="aws-app-runner",
    title="AWS App Runner",
    kind="cloud",
    note="Closed to new customers.",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            120,
            (
                "Reading the request and writing the whole response may take 120 s; the "
                "limit cannot be changed."
            ),
            evidence=_DOCS,
        ),
    ),
)
