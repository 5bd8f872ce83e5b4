"""AWS API Gateway (REST)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("docs.aws.amazon.com, API Gateway response-transfer-mode", checked="2026-11")
_ENDPOINT_REPORT = documented(
    "docs.aws.amazon.com, response-transfer-mode; a report on qiita (2026-02)", checked="2026-11"
)

ENTRY = Intermediary(
    name="aws-api-gateway",
    title="AWS API Gateway (REST)",
    kind="cloud",
    claims=(
        Sign("x-amz-apigw-id", evidence=_DOCS),
        Sign("apigw-requestid", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds the whole response, for at most 29 s, unless the transfer mode of "
                "the integration is STREAM (REST APIs only). A stream is limited to 2 "
                "MB/s after the first 10 MB."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            "A stream is cut after 30 s of silence.",
            evidence=_ENDPOINT_REPORT,
            conditions={"endpoint": "edge-optimised, the default"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            300,
            "A stream is cut after 5 min of silence.",
            evidence=_DOCS,
            conditions={"endpoint": "regional or private"},
        ),
        Limit(Aspect.CUTS_TOTAL, 900, "A stream may last at most 15 min.", evidence=_DOCS),
        Remedy(Trouble.HOLD, "aws-api-gateway", "responseTransferMode: STREAM", evidence=_DOCS),
        Remedy(
            Trouble.IDLE_LIMIT,
            "aws-api-gateway",
            ("endpointConfiguration:\n  types: [REGIONAL]"),
            evidence=_DOCS,
        ),
    ),
)
