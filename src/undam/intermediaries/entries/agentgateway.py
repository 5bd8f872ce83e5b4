"""agentgateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented(
    "agentgateway, crates/agentgateway/src/http/timeout.rs and llm/policy/mod.rs:281",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="agentgateway",
    title="agentgateway",
    kind="gateway",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Prompt guards do not affect streams unless `streaming: Enabled` is set; "
                "then they hold windows of the stream."
            ),
            evidence=_SOURCE,
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            "There is no requestTimeout by default; if set, it covers the body.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "agentgateway",
            "# leave requestTimeout out of the policy: it covers the whole body",
            evidence=_SOURCE,
        ),
    ),
)
