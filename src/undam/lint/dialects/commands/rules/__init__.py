"""Rules for command lines and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.commands.routes import ServerCommand
from undam.lint.dialects.commands.rules import buffering, limits
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *limits.RULES)


def find(server: ServerCommand, source: Source) -> Iterator[Diagnostic]:
    """Find all problems with a command whose server streams or may stream."""
    yield from buffering.find(server, source)
    yield from limits.find(server, source)
