"""Rule IST101: filters that hold the response body."""

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
        An EnvoyFilter inserts a filter that needs the whole response body, or a filter that
        compresses event streams with zstd.
    """,
    why="The client receives nothing until the model has finished.",
    detection="""
        A patch adds a Lua filter that calls `body()` on the response, or an external processor in a
        buffered mode. A patch that adds a file system buffer or a zstd compressor for
        text/event-stream is reported as well. If the workload selector and the known routes do not
        show whether anything streams, the severity is info. The filter `envoy.filters.http.buffer`
        collects only requests and is not reported.
    """,
    measured="""
        With each of the filters in ENV101 to ENV104, Envoy 1.40 held 300 events, sent 5 ms apart,
        until the end of the stream. These filters are a Lua filter with `body()`, buffered external
        processing, a file system buffer and zstd compression.
    """,
    fix="""
        Remove the filter, or use a `workloadSelector` to restrict the filter to other workloads.
        Alternatively, read the body in pieces: use `bodyChunks()` in Lua, or the `STREAMED` mode
        for an external processor.
    """,
    source="measured on loopback with Envoy 1.40; istio.io, Envoy Filter, accessed 2026-11",
)

RULES = (FILTER,)


def find_in_filter(resource: Resource, source: Source) -> Iterator[Diagnostic]:
    """Find filters in the patches that hold the response."""
    for patch in patches_of(resource):
        for found in holding_filters(patch):
            span = entry_span(source, found.entry)
            yield diagnostic_at(FILTER, source, span, severity=found.severity, how=found.how)
