"""TensorZero gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("tensorzero, docs/gateway/configuration-reference.mdx:192", checked="2026-11")

ENTRY = Intermediary(
    name="tensorzero",
    title="TensorZero gateway",
    kind="gateway",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            900,
            (
                "The request to the provider is limited to 15 min; ttft_ms and total_ms "
                "of streams apply only if set."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "tensorzero",
            ("[gateway]\nglobal_outbound_http_timeout_ms = 3600000"),
            evidence=_DOCS,
        ),
    ),
)
