"""Rules for Traefik and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.traefik.routes import TraefikConfig, TraefikRouter
from undam.lint.dialects.traefik.rules import buffering, compression, ineffective, limits
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *compression.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(config: TraefikConfig, router: TraefikRouter, source: Source) -> Iterator[Diagnostic]:
    """Find all problems with a streaming router, except limits on entry points."""
    for middleware in config.middlewares_of(router)[0]:
        yield from buffering.find(middleware, source)
        yield from compression.find(middleware, source)
        yield from ineffective.find_buffer_switch(middleware, source)
    for service in config.services_of(router):
        yield from ineffective.find_flush_interval(service, source)
        yield from limits.find(config, service, source)
