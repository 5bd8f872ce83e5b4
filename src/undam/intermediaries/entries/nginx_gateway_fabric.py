"""NGINX Gateway Fabric."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "nginx/nginx-gateway-fabric 2.6.7 (2026-07-15), servers.go and "
        "proxysettingspolicy_types.go; docs.nginx.com, ProxySettingsPolicy"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="nginx-gateway-fabric",
    title="NGINX Gateway Fabric",
    kind="gateway",
    built_on="nginx",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Runs nginx 1.31.3, which speaks HTTP/1.1 to the upstream (HTTP/2 to h2c "
                "backends), so a chunked stream passes. A body that ends with the "
                "connection is held in blocks of 4 KB."
            ),
            evidence=_DOCS,
            since="2.6.7",
        ),
        Behaviour(
            Aspect.HEAD,
            "The head waits for the first byte of the body, because buffering is on.",
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            "A stream is cut after 60 s of silence, as in nginx.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "nginx-gateway-fabric",
            ("kind: ProxySettingsPolicy\nspec:\n  buffering:\n    disable: true"),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "nginx-gateway-fabric",
            ("kind: ProxySettingsPolicy\nspec:\n  timeout:\n    read: 3600s"),
            evidence=_DOCS,
        ),
    ),
)
