"""ingress-nginx (Kubernetes)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "kubernetes/ingress-nginx v1.15.1 (2026-03-20), config.go and nginx.tmpl; "
        "kubernetes.github.io/ingress-nginx, annotations"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="ingress-nginx",
    title="ingress-nginx (Kubernetes)",
    kind="proxy",
    built_on="nginx",
    note="Retired: 1.15.1 (March 2026) is the last release.",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams: buffering is off by default, and it speaks HTTP/1.1 to the "
                "upstream. It sends no Server header unless `server-tokens` is on."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            (
                "proxy-read-timeout cuts a stream after 60 s of silence. A reload closes "
                "streams after worker-shutdown-timeout, 240 s."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "ingress-nginx",
            'nginx.ingress.kubernetes.io/proxy-buffering: "off"',
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "ingress-nginx",
            'nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"',
            evidence=_DOCS,
        ),
    ),
)
