"""Amazon CloudFront."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "docs.aws.amazon.com, CloudFront API, OriginReadTimeout and ResponseCompletionTimeout",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="cloudfront",
    title="Amazon CloudFront",
    kind="cdn",
    claims=(
        Sign("x-amz-cf-id", evidence=_DOCS),
        Sign("x-amz-cf-pop", evidence=_DOCS),
        Sign("via", r"\(cloudfront\)", evidence=_DOCS),
        Behaviour(Aspect.HOLDS, "Relays the body as received.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            "The origin read timeout is 30 s between two reads (1 to 120).",
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            ("ResponseCompletionTimeout, off by default, limits the whole response if set."),
            evidence=_DOCS,
        ),
        Remedy(Trouble.IDLE_LIMIT, "cloudfront", "OriginReadTimeout: 120", evidence=_DOCS),
    ),
)
