"""IST101: filters that hold the response body."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.istio.parser import patches_of
from undam.lint.kubernetes.envoy_config import holding_filters
from undam.lint.kubernetes.resources import Resource, entry_span
from undam.rules import Severity
from undam.textfiles.source import Source

FILTER = ConfigRule(
    code="IST101",
    slug="envoy-filter-holds-response",
    severity=Severity.ERROR,
    message="the EnvoyFilter adds a filter that holds the response: {how}",
    safety=Safety.NONE,
    what="""
        An EnvoyFilter inserts a filter that needs the whole response body, or one that compresses
        event streams with zstd.
    """,
    why="The client receives nothing until the model has finished.",
    detection="""
        A patch adds a Lua filter that calls `body()` on the response, an external processor in a
        buffered mode, a file system buffer, or a zstd compressor for text/event-stream. If the
        workload selector and the known routes do not show whether anything streams, the severity is
        info. The filter `envoy.filters.http.buffer` collects only requests and is not reported.
    """,
    measured="""
        In Envoy 1.40, a Lua filter with `body()`, buffered external processing, a file system
        buffer and zstd each held 300 events, sent 5 ms apart, until the end (ENV101 to ENV104).
    """,
    fix="""
        Remove the filter, or restrict it to other workloads with a workloadSelector. Alternatively,
        read the body in pieces: use `bodyChunks()` in Lua, or the mode STREAMED for an external
        processor.
    """,
    source="measured on loopback with Envoy 1.40; istio.io, Envoy Filter, read in 2026-11",
)

RULES = (FILTER,)


def find_in_filter(resource: Resource, source: Source) -> Iterator[Diagnostic]:
    """Find filters in the patches that hold the response."""
    for patch in patches_of(resource):
        for found in holding_filters(patch):
            span = entry_span(source, found.entry)
            yield diagnostic_at(FILTER, source, span, severity=found.severity, how=found.how)
