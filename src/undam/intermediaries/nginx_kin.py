"""What is built on nginx and configured elsewhere: two Kubernetes controllers, Kong, APISIX."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

INGRESS_NGINX = Intermediary(
    name="ingress-nginx",
    title="ingress-nginx (Kubernetes)",
    kind="proxy",
    signs=(),
    holds="Buffering is off by default and the upstream is spoken to over HTTP/1.1: it streams.",
    cuts="proxy-read-timeout: 60 s of silence.",
    fixes={
        Trouble.HOLD: Fix("ingress-nginx", 'nginx.ingress.kubernetes.io/proxy-buffering: "off"'),
        Trouble.IDLE_LIMIT: Fix(
            "ingress-nginx", 'nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"'
        ),
    },
    idle_limit_s=60.0,
    evidence="documented",
    source="kubernetes.github.io/ingress-nginx, annotations",
    built_on="nginx",
)

NGINX_GATEWAY_FABRIC = Intermediary(
    name="nginx-gateway-fabric",
    title="NGINX Gateway Fabric",
    kind="proxy",
    signs=(),
    holds="As nginx does by default.",
    cuts="60 s of silence, as nginx.",
    fixes={
        Trouble.HOLD: Fix(
            "nginx-gateway-fabric",
            "kind: ProxySettingsPolicy\nspec:\n  buffering:\n    disable: true",
        ),
    },
    idle_limit_s=60.0,
    evidence="documented",
    source="docs.nginx.com, NGINX Gateway Fabric, ProxySettingsPolicy",
    built_on="nginx",
)

KONG = Intermediary(
    name="kong",
    title="Kong Gateway",
    kind="proxy",
    signs=(
        Sign("x-kong-proxy-latency"),
        Sign("x-kong-upstream-latency"),
        Sign("via", r"\bkong/"),
        Sign("server", r"^kong/"),
    ),
    holds="response_buffering is true by default, and then it holds as nginx does.",
    cuts="read_timeout of the service: 60 s of silence.",
    fixes={
        Trouble.HOLD: Fix("kong", "response_buffering: false  # on the route"),
        Trouble.IDLE_LIMIT: Fix("kong", "read_timeout: 3600000  # on the service, milliseconds"),
    },
    idle_limit_s=60.0,
    evidence="documented",
    source="developer.konghq.com, route and service entities",
    built_on="nginx",
)

APISIX = Intermediary(
    name="apisix",
    title="Apache APISIX",
    kind="proxy",
    signs=(Sign("server", r"^apisix\b"),),
    holds="As nginx does by default.",
    cuts="No source found for its default limits.",
    fixes={
        Trouble.HOLD: Fix(
            "apisix", "plugins:\n  proxy-buffering:\n    disable_proxy_buffering: true"
        ),
    },
    evidence="documented",
    source="apisix.apache.org, plugin proxy-buffering",
    built_on="nginx",
)
