"""Rules for Varnish and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.varnish.parser import VclFile
from undam.lint.dialects.varnish.routes import VclRoutes
from undam.lint.dialects.varnish.rules import buffering, ineffective, limits
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(vcl: VclFile, routes: VclRoutes, settings: Settings) -> Iterator[Diagnostic]:
    """Find all problems with the streams that pass through Varnish."""
    yield from buffering.find(vcl, routes)
    yield from ineffective.find(vcl, routes)
    yield from limits.find(vcl, routes, settings.silence)
