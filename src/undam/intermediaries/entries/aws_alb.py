"""AWS Application Load Balancer."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("docs.aws.amazon.com, edit-load-balancer-attributes", checked="2026-11")

ENTRY = Intermediary(
    name="aws-alb",
    title="AWS Application Load Balancer",
    kind="cloud",
    claims=(
        Sign("server", "^awselb/", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            (
                "idle_timeout cuts a stream after 60 s of silence (1 to 4000). HTTP/2 "
                "PINGs do not extend it."
            ),
            evidence=_DOCS,
        ),
        Remedy(Trouble.IDLE_LIMIT, "aws-alb", "idle_timeout.timeout_seconds=3600", evidence=_DOCS),
    ),
)
