"""AWS Lambda web functions."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("docs.aws.amazon.com, Lambda web-functions-revisions-timeout", checked="2026-11")

ENTRY = Intermediary(
    name="aws-lambda-web-functions",
    title="AWS Lambda web functions",
    kind="cloud",
    claims=(
        Sign("lambda-web-error-type", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            30,
            "timeoutSeconds is 30 s for the whole stream (3 to 900).",
            evidence=_DOCS,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "At the limit, the client has received the status and gets a truncated "
                "body, without the error header."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT, "aws-lambda-web-functions", "timeoutSeconds: 900", evidence=_DOCS
        ),
    ),
)
