"""Rules for Envoy and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, for_route, if_anything_streams
from undam.lint.dialects.envoy.routes import ConnectionManager
from undam.lint.dialects.envoy.rules import buffering, compression, limits
from undam.lint.settings import Settings
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *compression.RULES,
    *limits.RULES,
)


def find(manager: ConnectionManager, source: Source, settings: Settings) -> Iterator[Diagnostic]:
    """Find all problems with the routes of a connection manager that stream or may stream."""
    yield from buffering.find(manager, source)
    yield from compression.find(manager, source)
    for route in manager.routes:
        yield from for_route(route.assessed, limits.find(manager, route, source, settings.silence))


def find_server_wide(manager: ConnectionManager, source: Source) -> Iterator[Diagnostic]:
    """Report, as remarks, settings that affect every route, although none is known to stream."""
    for one in (*buffering.find_everywhere(manager, source), *limits.find_shared(manager, source)):
        yield if_anything_streams(one)
