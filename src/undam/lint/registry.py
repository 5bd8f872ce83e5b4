"""Every dialect, by hand, and which of them a file is written in."""

from __future__ import annotations

from undam.lint.diagnostic import ConfigRule
from undam.lint.dialect import Dialect
from undam.lint.dialects import (
    apache,
    caddy,
    envoy,
    haproxy,
    ingress_nginx,
    lighttpd,
    nginx,
    squid,
    traefik,
    trafficserver,
    varnish,
)

DIALECTS: tuple[Dialect, ...] = (
    ingress_nginx.DIALECT,
    envoy.DIALECT,
    haproxy.DIALECT,
    apache.DIALECT,
    caddy.DIALECT,
    lighttpd.DIALECT,
    nginx.DIALECT,
    traefik.DIALECT,
    trafficserver.DIALECT,
    varnish.DIALECT,
    squid.DIALECT,
)


def dialect_named(name: str) -> Dialect:
    """The dialect with this name; raises KeyError."""
    return {dialect.name: dialect for dialect in DIALECTS}[name]


def recognise_dialect(path: str, text: str) -> Dialect | None:
    """The dialect that a file is written in, or ``None``."""
    return next((one for one in DIALECTS if one.recognises(path, text)), None)


def config_rules() -> tuple[ConfigRule, ...]:
    """The rules of all dialects."""
    return tuple(rule for dialect in DIALECTS for rule in dialect.rules)
