"""Live cases for the rules, with one module per dialect that a real program can read."""

from support.rule_cases import (
    apache,
    caddy,
    envoy,
    haproxy,
    lighttpd,
    nginx,
    squid,
    traefik,
    trafficserver,
    varnish,
)
from support.rule_cases.model import LiveDialect, RuleCase

LIVE_DIALECTS: tuple[LiveDialect, ...] = (
    apache.LIVE,
    caddy.LIVE,
    envoy.LIVE,
    haproxy.LIVE,
    lighttpd.LIVE,
    nginx.LIVE,
    squid.LIVE,
    traefik.LIVE,
    trafficserver.LIVE,
    varnish.LIVE,
)

__all__ = ["LIVE_DIALECTS", "LiveDialect", "RuleCase"]
