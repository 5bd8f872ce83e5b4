"""Rules for nginx and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.nginx.routes import NginxRoute
from undam.lint.dialects.nginx.rules import (
    buffering,
    ineffective,
    limits,
    protocol,
    sub_filter,
)
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *sorted((*buffering.RULES, *sub_filter.RULES), key=lambda rule: rule.code),
    *protocol.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(route: NginxRoute, settings: Settings) -> Iterator[Diagnostic]:
    """Find all problems with a streaming route."""
    yield from buffering.find(route, settings.target("nginx"))
    yield from sub_filter.find(route)
    yield from protocol.find(route)
    yield from ineffective.find(route)
    yield from limits.find(route, settings.silence_for(route.upstreams))
