"""Rules for Caddy and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from undam.lint.diagnostics import ConfigRule, Diagnostic, for_route, if_anything_streams
from undam.lint.dialects.caddy.routes import CaddyConfig, CaddyRoute
from undam.lint.dialects.caddy.rules import buffering, compression, ineffective, limits
from undam.lint.routes import RouteOutcome
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *compression.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(
    config: CaddyConfig, routes: Sequence[CaddyRoute], settings: Settings
) -> Iterator[Diagnostic]:
    """Find all problems with routes that stream or may stream, and with the global options."""
    considered = [one for one in routes if one.assessed.assessment.is_considered]
    version = settings.target("caddy")
    whole = list(limits.find_global(config))
    if not considered:
        whole += [one for route in routes for one in compression.find(route, version)]
    if not any(one.assessed.outcome is RouteOutcome.STREAMS for one in considered):
        whole = [if_anything_streams(one) for one in whole]
    yield from whole
    for route in considered:
        found = [
            *buffering.find(route),
            *compression.find(route, version),
            *ineffective.find(route),
            *limits.find(route, settings.silence),
        ]
        yield from for_route(route.assessed, found)
