"""Real proxies on free loopback ports.

``start_*`` returns a ``RunningProxy`` or raises ``Missing``. To build a chain, use the ``url`` of
one proxy as the upstream of the next.
"""

from __future__ import annotations

from collections.abc import Callable

from undam.lab.proxies.apache import start_apache
from undam.lab.proxies.caddy import start_caddy
from undam.lab.proxies.envoy import start_envoy
from undam.lab.proxies.haproxy import start_haproxy
from undam.lab.proxies.lighttpd import start_lighttpd
from undam.lab.proxies.nginx import start_nginx
from undam.lab.proxies.node import start_node
from undam.lab.proxies.process import NotStarted, RunningProxy
from undam.lab.proxies.programs import Missing, find_program
from undam.lab.proxies.squid import start_squid
from undam.lab.proxies.trafficserver import start_trafficserver
from undam.lab.proxies.varnish import start_varnish

STARTERS: tuple[Callable[[str], RunningProxy], ...] = (
    start_apache,
    start_caddy,
    start_envoy,
    start_haproxy,
    start_lighttpd,
    start_nginx,
    start_node,
    start_squid,
    start_trafficserver,
    start_varnish,
)
"""Every way to start a proxy in its default configuration, given an upstream URL."""

__all__ = [
    "STARTERS",
    "Missing",
    "NotStarted",
    "RunningProxy",
    "find_program",
    "start_apache",
    "start_caddy",
    "start_envoy",
    "start_haproxy",
    "start_lighttpd",
    "start_nginx",
    "start_node",
    "start_squid",
    "start_trafficserver",
    "start_varnish",
]
