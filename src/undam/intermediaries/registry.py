"""Every intermediary that undam knows, written by hand, and the look-ups by name."""

from __future__ import annotations

from collections.abc import Sequence

from undam.intermediaries.apache import APACHE, APACHE_FCGI
from undam.intermediaries.caddy import CADDY
from undam.intermediaries.cdns import (
    AKAMAI,
    AZURE_FRONT_DOOR,
    BUNNY,
    CLOUDFLARE,
    CLOUDFRONT,
    FASTLY,
)
from undam.intermediaries.clouds import (
    AWS_ALB,
    AWS_API_GATEWAY,
    AWS_LAMBDA_URL,
    AZURE_API_MANAGEMENT,
    AZURE_APPLICATION_GATEWAY,
    CLOUD_RUN,
    GOOGLE_LB,
)
from undam.intermediaries.envoy import CONTOUR, ENVOY, ENVOY_GATEWAY, ISTIO
from undam.intermediaries.go_proxies import GO_REVERSEPROXY, KRAKEND, TRAEFIK, TYK
from undam.intermediaries.haproxy import HAPROXY
from undam.intermediaries.intermediary import Intermediary, Trouble
from undam.intermediaries.lighttpd import LIGHTTPD
from undam.intermediaries.nginx import NGINX
from undam.intermediaries.nginx_kin import APISIX, INGRESS_NGINX, KONG, NGINX_GATEWAY_FABRIC
from undam.intermediaries.node import EXPRESS, NEXTJS, NODE_HTTP_PROXY
from undam.intermediaries.platforms import FLY, HEROKU, RAILWAY, VERCEL
from undam.intermediaries.python_servers import GUNICORN, MITMPROXY, STARLETTE_GZIP, UWSGI
from undam.intermediaries.squid import SQUID
from undam.intermediaries.trafficserver import TRAFFICSERVER
from undam.intermediaries.varnish import VARNISH
from undam.rules import Fix

INTERMEDIARIES: tuple[Intermediary, ...] = (
    NGINX,
    INGRESS_NGINX,
    NGINX_GATEWAY_FABRIC,
    KONG,
    APISIX,
    HAPROXY,
    ENVOY,
    ISTIO,
    CONTOUR,
    ENVOY_GATEWAY,
    APACHE,
    APACHE_FCGI,
    CADDY,
    TRAEFIK,
    LIGHTTPD,
    VARNISH,
    SQUID,
    TRAFFICSERVER,
    KRAKEND,
    TYK,
    GO_REVERSEPROXY,
    MITMPROXY,
    EXPRESS,
    NODE_HTTP_PROXY,
    NEXTJS,
    STARLETTE_GZIP,
    GUNICORN,
    UWSGI,
    CLOUDFRONT,
    CLOUDFLARE,
    FASTLY,
    AKAMAI,
    AZURE_FRONT_DOOR,
    BUNNY,
    AWS_ALB,
    AWS_API_GATEWAY,
    AWS_LAMBDA_URL,
    GOOGLE_LB,
    CLOUD_RUN,
    AZURE_API_MANAGEMENT,
    AZURE_APPLICATION_GATEWAY,
    VERCEL,
    HEROKU,
    RAILWAY,
    FLY,
)
"""The most common first; the order has no other meaning."""

_BY_NAME = {known.name: known for known in INTERMEDIARIES}


def intermediary(name: str) -> Intermediary:
    """The entry of this name; raises ``KeyError`` where there is none."""
    return _BY_NAME[name]


def fix_for(names: Sequence[str], trouble: Trouble) -> Fix | None:
    """The cure of the first of ``names`` that has one; names that are not known are passed over."""
    for name in names:
        known = _BY_NAME.get(name)
        if known is not None and trouble in known.fixes:
            return known.fixes[trouble]
    return None
