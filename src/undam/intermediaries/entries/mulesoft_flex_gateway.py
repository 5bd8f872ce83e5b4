"""MuleSoft Flex (Omni) Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "docs.mulesoft.com/gateway, flex-local-timeout and stream idle timeout policy",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="mulesoft-flex-gateway",
    title="MuleSoft Flex (Omni) Gateway",
    kind="gateway",
    claims=(
        Limit(Aspect.CUTS_IDLE, 300, "The stream idle timeout is 300 s.", evidence=_DOCS),
        Behaviour(Aspect.HEAD, "The response timeout is 15 s for the upstream.", evidence=_DOCS),
        Remedy(
            Trouble.IDLE_LIMIT,
            "mulesoft-flex-gateway",
            ("- policyRef:\n    name: stream-idle-timeout-flex\n  config:\n    timeout: 3600"),
            evidence=_DOCS,
            since="1.9",
        ),
    ),
)
