"""Rules for HAProxy and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.haproxy.routes import HaproxyRoute
from undam.lint.dialects.haproxy.rules import buffering, compression, ineffective, limits
from undam.lint.settings import Settings
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (
    *sorted((*buffering.RULES, *compression.RULES), key=lambda rule: rule.code),
    *ineffective.RULES,
    *limits.RULES,
)


def find(route: HaproxyRoute, source: Source, settings: Settings) -> Iterator[Diagnostic]:
    """Find all problems with a streaming route."""
    yield from buffering.find(route, source)
    yield from compression.find(route, source)
    yield from ineffective.find(route, source)
    yield from limits.find(route, source, settings.silence)
