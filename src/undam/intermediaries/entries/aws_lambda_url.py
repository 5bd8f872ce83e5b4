"""AWS Lambda function URL."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "docs.aws.amazon.com, Lambda configuration-response-streaming", checked="2026-11"
)

ENTRY = Intermediary(
    name="aws-lambda-url",
    title="AWS Lambda function URL",
    kind="cloud",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds the whole response, at most 6 MB, unless the invoke mode is "
                "RESPONSE_STREAM. A stream may have 200 MB, at 2 MB/s after the first 6 "
                "MB; streaming is native only in Node.js and not available in a VPC."
            ),
            evidence=_DOCS,
        ),
        Limit(Aspect.CUTS_TOTAL, None, "The function's own timeout applies.", evidence=_DOCS),
        Remedy(Trouble.HOLD, "aws-lambda-url", "InvokeMode: RESPONSE_STREAM", evidence=_DOCS),
        Remedy(Trouble.TOTAL_LIMIT, "aws-lambda-url", "Timeout: 900", evidence=_DOCS),
    ),
)
