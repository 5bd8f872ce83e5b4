"""Kong Mesh and Kuma (MeshGateway)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "developer.konghq.com/mesh, policies/meshtimeout, default for all gateways", checked="2026-11"
)

ENTRY = Intermediary(
    name="kuma",
    title="Kong Mesh and Kuma (MeshGateway)",
    kind="proxy",
    built_on="envoy",
    claims=(
        Limit(
            Aspect.CUTS_IDLE,
            5,
            "streamIdleTimeout is 5 s in the default policy of gateways.",
            evidence=_DOCS,
            conditions={"endpoint": "builtin gateway"},
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "kuma",
            (
                "to:\n"
                "  - targetRef:\n"
                "      kind: Mesh\n"
                "    default:\n"
                "      http:\n"
                "        streamIdleTimeout: 1h"
            ),
            evidence=_DOCS,
        ),
    ),
)
