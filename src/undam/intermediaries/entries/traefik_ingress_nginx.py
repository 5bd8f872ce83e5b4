"""Traefik, ingress-nginx provider."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "traefik, pkg/provider/kubernetes/ingress-nginx/middleware.go:160", checked="2026-11"
)

ENTRY = Intermediary(
    name="traefik-ingress-nginx",
    title="Traefik, ingress-nginx provider",
    kind="proxy",
    built_on="traefik",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            ("Obeys the ingress-nginx annotation proxy-buffering: `on` holds the whole response."),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "traefik-ingress-nginx",
            'nginx.ingress.kubernetes.io/proxy-buffering: "off"',
            evidence=_DOCS,
        ),
    ),
)
