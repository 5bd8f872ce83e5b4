"""Rules for Squid and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.squid.parser import SquidConfig
from undam.lint.dialects.squid.rules import limits, throttling
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (*throttling.RULES, *limits.RULES)


def find(config: SquidConfig, settings: Settings) -> Iterator[Diagnostic]:
    """Find all problems with the streams that pass through Squid."""
    yield from throttling.find(config)
    yield from limits.find(config, settings)


def find_total(config: SquidConfig) -> Iterator[Diagnostic]:
    """Find limits on the duration of every response."""
    return limits.find_total(config)
