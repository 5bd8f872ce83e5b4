"""Streaming routes of remap.config."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.dialect import IncludeOpener
from undam.lint.dialects.trafficserver.parser import RemapRule, TimeoutRecord, read_remap
from undam.lint.routes import RouteHints, StreamLikelihood, classify_route
from undam.lint.settings import Settings
from undam.textfiles.source import Source


def streaming_parameters(source: Source, hints: RouteHints) -> Iterator[TimeoutRecord]:
    """Yield the records that streaming lines of remap.config override."""
    for rule in read_remap(source):
        if _streams(rule, hints):
            yield from rule.parameters


def has_streaming_route(settings: Settings, open_include: IncludeOpener) -> bool | None:
    """Return whether the user or a remap.config names a streaming route.

    Returns:
        ``None`` if there is neither a statement of the user nor a remap.config.
    """
    if settings.stream_paths:
        return True
    files = open_include("remap.config")
    if not files:
        return None
    return any(_streams(rule, settings.hints) for file in files for rule in read_remap(file))


def _streams(rule: RemapRule, hints: RouteHints) -> bool:
    return classify_route(rule.path, [rule.target], hints) > StreamLikelihood.NO
