"""The routes in a remap.config, with the evidence for streaming."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.dialect import IncludeOpener
from undam.lint.dialects.trafficserver.parser import RemapRule, read_remap
from undam.lint.routes import AssessedRoute, RouteHints, RouteOutcome, assess_route
from undam.lint.settings import Settings
from undam.textfiles.source import Source


def assess_maps(source: Source, hints: RouteHints) -> Iterator[tuple[RemapRule, AssessedRoute]]:
    """Yield each mapping rule in a remap.config with its assessed route."""
    for rule in read_remap(source):
        line, _ = source.position(rule.start)
        assessment = assess_route(rule.path, [rule.target], hints)
        yield (
            rule,
            AssessedRoute(source.path, line, rule.path, rule.target, assessment, rule.path or "/"),
        )


def has_streaming_map(settings: Settings, open_include: IncludeOpener) -> bool:
    """Return whether the user or a remap.config specifies a streaming route."""
    if settings.stream_paths:
        return True
    return any(
        assessed.outcome is RouteOutcome.STREAMS
        for file in open_include("remap.config")
        for _, assessed in assess_maps(file, settings.hints_for(file.path))
    )
