"""Rules for lighttpd and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.lighttpd.parser import LighttpdConfig
from undam.lint.dialects.lighttpd.routes import LighttpdRoute
from undam.lint.dialects.lighttpd.rules import buffering, ineffective, limits
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(route: LighttpdRoute, config: LighttpdConfig, settings: Settings) -> Iterator[Diagnostic]:
    """Find all problems with a streaming route."""
    yield from buffering.find(route, config, settings.hints)
    yield from ineffective.find(route, config)
    yield from limits.find(route, config, settings)
