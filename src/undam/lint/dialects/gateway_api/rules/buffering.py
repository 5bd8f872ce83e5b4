"""Rules GWA101-GWA103: policies that hold the response body."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.envoy_config import holding_filters
from undam.lint.kubernetes.resources import Resource, at, entry_at, entry_span, text_at
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node, items_of
from undam.textfiles.tree_edit import replace_value

EXT_PROC = ConfigRule(
    code="GWA101",
    slug="ext-proc-buffers-response",
    severity=Severity.ERROR,
    message="the response body is {how} for the external processor, so the whole stream is held",
    safety=Safety.UNSAFE,
    what="""
        If an EnvoyExtensionPolicy selects the mode Buffered, Envoy collects the whole body before
        it sends anything to the processor. In the mode BufferedPartial, Envoy collects the body up
        to the buffer limit.
    """,
    why="The client receives nothing until the model has finished.",
    detection="""
        `extProc[].processingMode.response.body` of a policy for a streaming route is Buffered or
        BufferedPartial. With `allowModeOverride`, the processor may select Streamed for a stream,
        so the severity is warning, and `undam fix` makes no edit. If it is unknown whether the
        policy's routes stream, the severity is info.
    """,
    measured="""
        Envoy 1.40, configured as in Envoy Gateway, with 300 events sent 5 ms apart: in both modes,
        all events arrived together at the end (ENV102).
    """,
    fix="""
        If the processor can handle the body in pieces, use the mode Streamed.

            processingMode:
              response:
                body: Streamed
    """,
    source=(
        "measured on loopback with Envoy 1.40; gateway.envoyproxy.io, API reference, "
        "ExtProcBodyProcessingMode, accessed 2026-11"
    ),
)

PATCHED_FILTER = ConfigRule(
    code="GWA102",
    slug="patched-filter-holds",
    severity=Severity.ERROR,
    message="the patch adds a filter that holds the response: {how}",
    safety=Safety.NONE,
    what="""
        An EnvoyPatchPolicy adds a filter that needs the whole response body, or a filter that
        compresses event streams with zstd.
    """,
    why="The client receives nothing until the model has finished.",
    detection="""
        A patch adds a Lua filter that calls `body()` on the response, or an external processor in a
        buffered mode. A patch that adds a file system buffer or a zstd compressor for
        text/event-stream is reported as well. The filter `envoy.filters.http.buffer` is not
        reported, because it collects only requests.
    """,
    measured="""
        With each of the filters in ENV101 to ENV104, Envoy 1.40 held 300 events, sent 5 ms apart,
        until the end of the stream. These filters are a Lua filter with `body()`, buffered external
        processing, a file system buffer and zstd compression.
    """,
    fix="""
        Remove the filter from the patch, or disable it for the streaming routes with a
        `typed_per_filter_config`.
    """,
    source="measured on loopback with Envoy 1.40; gateway.envoyproxy.io, Envoy Patch Policy",
)

NGINX_BUFFERING = ConfigRule(
    code="GWA103",
    slug="proxy-settings-buffering",
    severity=Severity.WARNING,
    message=(
        "buffering is on for a streaming route: the response head is delayed until the first body "
        "byte arrives, and an unchunked body arrives in 4 KB blocks"
    ),
    safety=Safety.UNSAFE,
    what="""
        A ProxySettingsPolicy in NGINX Gateway Fabric turns on response buffering, which is also the
        nginx default.
    """,
    why="""
        NGINX Gateway Fabric connects to the backend over HTTP/1.1, so a chunked stream is not held.
        The response head is still delayed until the first body byte arrives. A body delimited by
        connection close arrives in 4 KB blocks.
    """,
    detection="A policy that affects a streaming route sets `buffering.disable: false`.",
    measured="""
        nginx 1.22.1 with buffering, over HTTP/1.1: events in a chunked body arrived 0.1 ms late.
        Without chunked encoding, events arrived 1651 ms late. NGINX Gateway Fabric itself was not
        tested.
    """,
    fix="""
        Turn buffering off. The change affects every route that the policy targets.

            buffering:
              disable: true
    """,
    source=(
        "docs.nginx.com, NGINX Gateway Fabric, ProxySettingsPolicy; nginx/nginx-gateway-fabric "
        "2.6.7 (2026-07-15), servers.go"
    ),
)

RULES = (EXT_PROC, PATCHED_FILTER, NGINX_BUFFERING)

_HOLDING_MODES = frozenset({"Buffered", "BufferedPartial"})


def _ext_proc(processor: Node, entry: Entry, source: Source) -> Diagnostic:
    how, span = entry.value.text, entry_span(source, entry)
    if text_at(processor, "processingMode", "allowModeOverride") == "true":
        how += " (unless the processor overrides the mode, which is allowed)"
        return diagnostic_at(EXT_PROC, source, span, severity=Severity.WARNING, how=how)
    edit = replace_value(source, entry.value, "Streamed")
    return diagnostic_at(EXT_PROC, source, span, *((edit,) if edit is not None else ()), how=how)


def find_in_policy(policy: Resource, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find policy settings that hold the response."""
    source = cluster.source
    if policy.kind == "EnvoyExtensionPolicy":
        for processor in items_of(at(policy.spec, "extProc")):
            entry = entry_at(processor, "processingMode", "response", "body")
            if entry is not None and entry.value.text in _HOLDING_MODES:
                yield _ext_proc(processor, entry, source)
    elif policy.kind == "EnvoyPatchPolicy":
        for patch in items_of(at(policy.spec, "jsonPatches")):
            for found in holding_filters(at(patch, "operation", "value")):
                span = entry_span(source, found.entry)
                yield diagnostic_at(
                    PATCHED_FILTER, source, span, severity=found.severity, how=found.how
                )
    elif policy.kind == "ProxySettingsPolicy":
        entry = entry_at(policy.spec, "buffering", "disable")
        if entry is not None and entry.value.text == "false":
            edit = replace_value(source, entry.value, "true")
            edits = (edit,) if edit is not None else ()
            yield diagnostic_at(NGINX_BUFFERING, source, entry_span(source, entry), *edits)
