"""Registry of dialects, and detection of a file's dialect."""

from __future__ import annotations

from undam.errors import UsageError
from undam.lint.diagnostics import ConfigRule
from undam.lint.dialect import Dialect
from undam.lint.dialects import (
    apache,
    caddy,
    cloud,
    commands,
    compose,
    envoy,
    gateway_api,
    haproxy,
    ingress_nginx,
    istio,
    javascript_app,
    kserve,
    kubernetes_ingress,
    lighttpd,
    litellm,
    nginx,
    python_app,
    squid,
    traefik,
    traefik_crd,
    trafficserver,
    varnish,
)

# Dialects, in the order in which detection tries them.
DIALECTS: tuple[Dialect, ...] = (
    cloud.DIALECT,
    compose.DIALECT,
    ingress_nginx.DIALECT,
    gateway_api.DIALECT,
    istio.DIALECT,
    traefik_crd.DIALECT,
    kubernetes_ingress.DIALECT,
    kserve.DIALECT,
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
    python_app.DIALECT,
    javascript_app.DIALECT,
    litellm.DIALECT,
    commands.DIALECT,
)


def dialect_named(name: str) -> Dialect:
    """Return the dialect with this name.

    Raises:
        UsageError: there is no such dialect; the message lists all of them.
    """
    dialects = {dialect.name: dialect for dialect in DIALECTS}
    if name not in dialects:
        raise UsageError(f"there is no dialect {name[:80]!r}; known: {', '.join(dialects)}")
    return dialects[name]


def dialect_of_rule(rule: ConfigRule) -> Dialect:
    """Return the dialect to which a rule belongs."""
    return _DIALECT_OF_RULE[rule.code]


def recognise_dialect(path: str, text: str) -> Dialect | None:
    """Detect a file's dialect from its name and content. Return ``None`` if it is unknown."""
    return next((dialect for dialect in DIALECTS if dialect.recognises(path, text)), None)


def recognise_dialects(path: str, text: str) -> tuple[Dialect, ...]:
    """Detect all dialects that lint a file: the first that matches, and all additional ones."""
    first = recognise_dialect(path, text)
    more = (one for one in DIALECTS if one.is_additional and one is not first)
    found = () if first is None else (first,)
    return (*found, *(one for one in more if one.recognises(path, text)))


def recognise_program(path: str, text: str) -> Dialect | None:
    """Detect the dialect of a source file. Return ``None`` if the program does not stream."""
    programs = (dialect for dialect in DIALECTS if dialect.reads_programs)
    return next((dialect for dialect in programs if dialect.recognises(path, text)), None)


def config_rules() -> tuple[ConfigRule, ...]:
    """Return the rules of all dialects."""
    return tuple(rule for dialect in DIALECTS for rule in dialect.rules)


_DIALECT_OF_RULE = {rule.code: dialect for dialect in DIALECTS for rule in dialect.rules}
