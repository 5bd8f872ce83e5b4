"""Hop that each dialect attaches to a route: limits, buffering, compression, and addresses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from support.dialect_harness import with_heartbeats
from undam.lint import Hop, Source, Tier, dialect_named, lint_source
from undam.versions import Version

TEXTS = {
    "nginx": """\
upstream model { server vllm:8000; }
server {
    listen 443 ssl; listen unix:/run/nginx.sock;
    server_name chat.example.org _;
    proxy_read_timeout 90s;
    gzip on; gzip_types text/event-stream;
    location /v1/chat/completions { proxy_pass http://model; }
}
""",
    "haproxy": """\
frontend web
    mode http
    bind *:80
    default_backend vllm
backend vllm
    mode http
    timeout server 20s
    server one vllm:8000
""",
    "caddy": """\
{
    servers {
        timeouts {
            write 5m
        }
    }
}
chat.example.org {
    encode gzip
    reverse_proxy vllm:8000 {
        transport http {
            read_timeout 45s
        }
    }
}
""",
    "traefik": """\
entryPoints:
  web: {address: ":80", transport: {respondingTimeouts: {writeTimeout: 30s}}}
http:
  routers:
    chat: {rule: "PathPrefix(`/v1/chat/completions`)", service: vllm, middlewares: [hold]}
  middlewares:
    hold: {buffering: {}}
  services:
    vllm: {loadBalancer: {servers: [{url: "http://vllm:8000"}]}}
""",
    "envoy": """\
static_resources:
  listeners:
    - filter_chains:
        - filters:
            - typed_config:
                "@type": type.googleapis.com/a.v3.HttpConnectionManager
                route_config:
                  virtual_hosts:
                    - routes:
                        - match: {prefix: "/v1/chat/completions"}
                          route: {cluster: vllm, idle_timeout: 30s}
  clusters:
    - name: vllm
      load_assignment:
        endpoints:
          - lb_endpoints:
              - endpoint: {address: {socket_address: {address: vllm, port_value: 8000}}}
""",
    "ingress-nginx": """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: chat
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "120"
    nginx.ingress.kubernetes.io/proxy-buffering: "on"
spec:
  ingressClassName: nginx
  rules:
    - host: chat.example.org
      http:
        paths:
          - path: /v1/chat/completions
            backend: {service: {name: vllm, port: {number: 80}}}
""",
    "apache": """\
<VirtualHost *:80>
    ProxyTimeout 40
    ProxyPass "/v1/chat/completions" "http://vllm:8000/v1/chat/completions"
</VirtualHost>
""",
    "varnish": """\
vcl 4.1;
backend vllm { .host = "vllm"; .port = "8000"; .between_bytes_timeout = 25s; }
sub vcl_backend_response { set beresp.do_stream = false; }
""",
    "squid": """\
http_port 3128
read_timeout 2 minutes
cache_peer vllm parent 8000 0 no-query originserver
""",
    "lighttpd": """\
server.modules += ( "mod_proxy" )
server.max-write-idle = 50
$HTTP["url"] =~ "^/v1/chat/completions" {
    proxy.server = ( "" => (( "host" => "vllm", "port" => 8000 )) )
}
""",
    "trafficserver": "map http://a.example/v1/chat/completions http://vllm:8000/v1/chat/completions\n",
}  # fmt: skip


def hop_of(dialect: str, text: str, **options: object) -> Hop:
    """Return the hop of the only route that has a hop."""
    found = lint_source(dialect_named(dialect), Source("f", text), with_heartbeats(**options))
    (hop,) = (route.hop for route in found.routes if route.hop is not None)
    return hop


@pytest.mark.parametrize(
    ("dialect", "idle", "line", "total"),
    [
        ("nginx", 90.0, 5, math.inf),
        ("haproxy", 20.0, 7, math.inf),
        ("caddy", 45.0, 12, 300.0),
        ("traefik", math.inf, None, 30.0),
        ("envoy", 30.0, 11, 15.0),
        ("ingress-nginx", 120.0, 6, math.inf),
        ("apache", 40.0, 2, math.inf),
        ("varnish", 25.0, 2, math.inf),
        ("squid", 120.0, 2, 86400.0),
        ("lighttpd", 50.0, 2, math.inf),
        ("trafficserver", None, None, math.inf),
    ],
)
def test_limits_are_those_of_the_configuration(
    dialect: str, idle: float | None, line: int | None, total: float
) -> None:
    hop = hop_of(dialect, TEXTS[dialect])
    assert (hop.idle_limit_s, hop.total_limit_s) == (idle, total)
    assert hop.idle_at == (("f", line) if line is not None else None)


DEFAULTS: Mapping[str, tuple[str, float]] = {
    "nginx": ("    proxy_read_timeout 90s;\n", 60.0),
    "haproxy": ("    timeout server 20s\n", math.inf),
    "caddy": ("            read_timeout 45s\n", math.inf),
    "envoy": (", idle_timeout: 30s", 300.0),
    "ingress-nginx": ('    nginx.ingress.kubernetes.io/proxy-read-timeout: "120"\n', 60.0),
    "apache": ("    ProxyTimeout 40\n", 60.0),
    "varnish": (" .between_bytes_timeout = 25s;", 60.0),
    "squid": ("read_timeout 2 minutes\n", 900.0),
    "lighttpd": ("server.max-write-idle = 50\n", 360.0),
}


@pytest.mark.parametrize("dialect", DEFAULTS)
def test_without_a_setting_the_default_of_the_program_applies(dialect: str) -> None:
    setting, default = DEFAULTS[dialect]
    assert setting in TEXTS[dialect]
    hop = hop_of(dialect, TEXTS[dialect].replace(setting, ""))
    assert (hop.idle_limit_s, hop.idle_at) == (default, None)


@pytest.mark.parametrize(
    ("dialect", "buffers", "compresses"),
    [
        ("nginx", True, True),
        ("haproxy", None, False),
        ("caddy", False, None),
        ("traefik", True, False),
        ("envoy", False, False),
        ("ingress-nginx", True, False),
        ("apache", False, False),
        ("varnish", True, False),
        ("squid", False, False),
        ("lighttpd", True, False),
    ],
)
def test_buffering_and_compression_follow_the_rules(
    dialect: str, buffers: bool | None, compresses: bool | None
) -> None:
    hop = hop_of(dialect, TEXTS[dialect])
    assert (hop.buffers, hop.compresses) == (buffers, compresses)


def test_buffering_of_nginx_depends_on_its_version() -> None:
    plain = TEXTS["nginx"].replace("gzip on;", "")
    assert hop_of("nginx", plain).buffers is None
    for text, expected in (("1.22.1", True), ("1.31.5", False)):
        version = Version.parse(text)
        assert version is not None
        hop = hop_of("nginx", plain, targets={"nginx": version})
        assert hop.buffers is expected


def test_addresses_connect_the_hops() -> None:
    assert set(hop_of("nginx", TEXTS["nginx"]).names) == {"chat.example.org", ":443"}
    assert "vllm:8000" in hop_of("nginx", TEXTS["nginx"]).upstreams
    assert hop_of("haproxy", TEXTS["haproxy"]).names == (":80",)
    assert "vllm:8000" in hop_of("haproxy", TEXTS["haproxy"]).upstreams
    assert hop_of("caddy", TEXTS["caddy"]).names == ("chat.example.org",)
    assert hop_of("traefik", TEXTS["traefik"]).names == (":80",)
    assert "vllm:8000" in hop_of("envoy", TEXTS["envoy"]).upstreams
    assert hop_of("ingress-nginx", TEXTS["ingress-nginx"]).names == ("chat.example.org",)
    assert hop_of("ingress-nginx", TEXTS["ingress-nginx"]).tier is Tier.INGRESS
    assert hop_of("varnish", TEXTS["varnish"]).upstreams[0] == "vllm"


def test_invalid_limits_are_unknown() -> None:
    broken = TEXTS["ingress-nginx"].replace('"120"', '"2m"')
    assert hop_of("ingress-nginx", broken).idle_limit_s is None
    broken = TEXTS["apache"].replace("ProxyTimeout 40", "ProxyTimeout soon")
    assert hop_of("apache", broken).idle_limit_s is None
    without = TEXTS["traefik"].replace('address: ":80", ', "")
    assert hop_of("traefik", without).names == ()


def test_a_route_that_is_not_considered_has_no_hop() -> None:
    text = "server { location /static/ { proxy_pass http://files; } }"
    found = lint_source(dialect_named("nginx"), Source("f", text), with_heartbeats())
    assert [route.hop for route in found.routes] == [None]
