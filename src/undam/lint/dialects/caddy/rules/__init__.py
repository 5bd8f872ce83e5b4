"""The rules of Caddy, one module per topic with the functions that find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.caddy.routes import CaddyConfig, CaddyRoute
from undam.lint.dialects.caddy.rules import buffering, compression, ineffective, limits
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *compression.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(
    config: CaddyConfig, routes: Iterable[CaddyRoute], settings: Settings
) -> Iterator[Diagnostic]:
    """Find all problems of the streaming routes."""
    routes = list(routes)
    if routes:
        yield from limits.find_global(config)
    for route in routes:
        yield from buffering.find(route)
        yield from compression.find(route)
        yield from ineffective.find(route)
        yield from limits.find(route, settings.heartbeat_s)
