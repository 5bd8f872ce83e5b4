"""Rules ENV104-ENV105: compression of event streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.envoy.parser import field, field_entry, type_of
from undam.lint.dialects.envoy.routes import (
    ConnectionManager,
    HoldingField,
    HttpFilter,
    find_holding_filters,
)
from undam.rules import Severity
from undam.textfiles.source import Source

ZSTD = ConfigRule(
    code="ENV104",
    slug="zstd-event-stream",
    severity=Severity.ERROR,
    message="{how} compresses text/event-stream and flushes only at the end",
    safety=Safety.SAFE,
    what="Envoy's zstd compressor holds its output until a block is full.",
    why="The response head arrives immediately, but no event arrives until the model has finished.",
    detection="""
        A compressor filter with the zstd library lists text/event-stream among its content types,
        and a streaming route of the same listener does not override the filter.
    """,
    measured="""
        Envoy 1.40, with 300 events sent 5 ms apart to a client that accepts zstd: all events
        arrived together at the end. With gzip and brotli, each event arrived immediately.
    """,
    fix="""
        Disable compression on the streaming routes only. Alternatively, send `Cache-Control:
        no-transform` from the origin. gzip and brotli are also possible, because Envoy flushes them
        after each event.

            typed_per_filter_config:
              envoy.filters.http.compressor:
                "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                disabled: true
    """,
    source="measured on loopback with Envoy 1.40",
)

GZIP = ConfigRule(
    code="ENV105",
    slug="compressed-event-stream",
    severity=Severity.INFO,
    message="{how} compresses text/event-stream but flushes each event, so nothing is held here",
    safety=Safety.NONE,
    what="""
        Envoy's default list of content types excludes event streams, but the configured list
        includes them.
    """,
    why="""
        Envoy holds nothing, because gzip and brotli are flushed after each event. The next hop
        cannot read compressed events, and small events compress poorly.
    """,
    detection="""
        A compressor filter with gzip or brotli lists text/event-stream among its content types, and
        a streaming route of the same listener does not override the filter.
    """,
    measured="""
        Envoy 1.39 and 1.40, with gzip and with brotli: the first event arrived 0.3 ms late, and
        each read returned one event.
    """,
    fix="""
        No change is needed. To leave streams uncompressed, remove text/event-stream from the list,
        or let the origin send this header, which Envoy obeys:

            Cache-Control: no-transform
    """,
    source="measured on loopback with Envoy 1.39 and 1.40",
)

RULES = (ZSTD, GZIP)


def find(manager: ConnectionManager, source: Source) -> Iterator[Diagnostic]:
    """Find filters that compress event streams."""
    return find_holding_filters(manager, source, holding_compressor)


def holding_compressor(one: HttpFilter) -> HoldingField | None:
    """Return the field that makes a filter compress event streams; ``None`` if there is none."""
    config = one.config
    if not one.is_a("compressor.v3.Compressor"):
        return None
    common = field(config, "response_direction_config", "common_config")
    enabled = field(common, "enabled", "default_value")
    entry = field_entry(common, "content_type") or field_entry(config, "content_type")
    if entry is None or (enabled is not None and enabled.text == "false"):
        return None
    if not any(item.text.lower().startswith("text/event-stream") for item in entry.value.items):
        return None
    library = type_of(field(config, "compressor_library", "typed_config")).rpartition(".")[2]
    if library == "Zstd":
        return HoldingField(ZSTD, entry, "zstd")
    return HoldingField(GZIP, entry, library.lower() or "the compressor")
