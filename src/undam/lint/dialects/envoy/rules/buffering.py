"""Rules ENV101-ENV103: HTTP filters that hold the response body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.envoy.parser import field, field_entry
from undam.lint.dialects.envoy.routes import (
    ConnectionManager,
    HoldingField,
    HttpFilter,
    find_holding_filters,
)
from undam.rules import Severity
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Node

LUA_BODY = ConfigRule(
    code="ENV101",
    slug="lua-reads-body",
    severity=Severity.ERROR,
    message="the Lua filter reads the response body with {how}, so Envoy holds the whole stream",
    safety=Safety.UNSAFE,
    what="`body()` in `envoy_on_response` does not return until Envoy has received the whole body.",
    why="""
        Nothing reaches the client before the model has finished, not even the response head.
    """,
    detection="""
        A Lua filter calls `body()` on the handle of `envoy_on_response`, and a streaming route of
        the same listener does not disable the filter.
    """,
    measured="""
        Envoy 1.40, with 300 events sent 5 ms apart: all events arrived together at the end. With
        the filter disabled, or with `bodyChunks()`, each event arrived immediately.
    """,
    fix="""
        Disable the filter on the streaming routes. Disabling the filter also disables its other
        functions on those routes. If the code can process the body in pieces, use `bodyChunks()`,
        which does not hold the stream.

            typed_per_filter_config:
              envoy.filters.http.lua:
                "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                disabled: true
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, Lua filter, body() and bodyChunks()"
    ),
)

EXT_PROC_BODY = ConfigRule(
    code="ENV102",
    slug="ext-proc-buffers-response",
    severity=Severity.ERROR,
    message="response_body_mode {how} buffers the response for the external processor",
    safety=Safety.UNSAFE,
    what="""
        In the mode BUFFERED, Envoy sends the body to the processor only when the body is complete.
        In the mode BUFFERED_PARTIAL, Envoy also sends the body when the buffer limit is reached.
    """,
    why="The client receives nothing until the model has finished.",
    detection="""
        An ext_proc filter uses BUFFERED or BUFFERED_PARTIAL for the response, and a streaming route
        of the same listener does not override the mode. A route that selects one of these modes
        itself is reported as well. With `allow_mode_override`, the processor
        may select STREAMED for a stream, so the severity is warning, and `undam fix` makes no edit.
    """,
    measured="""
        Envoy 1.40 in both modes, with 300 events sent 5 ms apart: the head arrived after 1 ms, and
        all events arrived together at the end. The result was the same with an unreachable
        processor and `failure_mode_allow`. With the filter disabled, each event arrived
        immediately.
    """,
    fix="""
        Disable the filter on the streaming routes. Without the filter, the processor no longer
        processes the traffic of the streaming routes. If the processor can process the body in
        pieces, set this mode instead:

            response_body_mode: STREAMED     (or FULL_DUPLEX_STREAMED)
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, ext_proc ProcessingMode.BodySendMode"
    ),
)

FILE_BUFFER = ConfigRule(
    code="ENV103",
    slug="file-system-buffer",
    severity=Severity.ERROR,
    message="the file system buffer collects the whole response ({how})",
    safety=Safety.UNSAFE,
    what="""
        `fully_buffer` and `fully_buffer_and_always_inject_content_length` collect the whole
        response in memory and on disk before the first byte is sent.
    """,
    why="Nothing reaches the client before the model has finished.",
    detection="""
        A file_system_buffer filter fully buffers the response, and a streaming route of the same
        listener does not override the filter.
    """,
    measured="Envoy 1.40, with 300 events sent 5 ms apart: all events arrived together at the end.",
    fix="""
        Disable the filter on the streaming routes. Disabling the filter on a route also disables it
        for requests on that route.

            typed_per_filter_config:
              envoy.filters.http.file_system_buffer:
                "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                disabled: true
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, FileSystemBufferFilterConfig, "
        "BufferBehavior"
    ),
)

RULES = (LUA_BODY, EXT_PROC_BODY, FILE_BUFFER)

_ON_RESPONSE = re.compile(r"\bfunction\s+envoy_on_response\s*\(\s*(\w+)\s*\)")
_ON_REQUEST = re.compile(r"\bfunction\s+envoy_on_request\b")
_COMMENT = re.compile(r"--(?!\[)[^\n]*")


def find(manager: ConnectionManager, source: Source) -> Iterator[Diagnostic]:
    """Find filters that hold the response on a streaming route."""
    return find_holding_filters(manager, source, holding_field, _on_route)


def _on_route(one: HttpFilter, own: Node, held: HoldingField | None) -> HoldingField | None:
    """Return the field that holds on a route with settings of its own for the filter.

    The settings of an external processor on a route replace only those that they contain.
    """
    if not one.is_a("ext_proc.v3.ExternalProcessor"):
        return None
    overrides = field(own, "overrides")
    if field(overrides, "processing_mode") is None:
        return held
    found = _ext_proc(overrides, one.config)
    return None if found is None else replace(found, has_fix=False)


def find_everywhere(manager: ConnectionManager, source: Source) -> Iterator[Diagnostic]:
    """Find filters that hold every response, whether a route streams or not."""
    for one in manager.filters:
        held = None if one.disabled else holding_field(one)
        if held is not None:
            span = held.entry.key.start, held.entry.key.end
            yield diagnostic_at(held.rule, source, span, how=held.how)


def unread_code(manager: ConnectionManager, source: Source) -> Iterator[UnreadPart]:
    """Yield references to Lua code in separate files, which is not analyzed."""
    for one in manager.filters:
        name = field_entry(field(one.config, "default_source_code"), "filename")
        if one.is_a("lua.v3.Lua") and name is not None and manager.routes:
            line, _ = source.position(name.key.start)
            yield UnreadPart(source.path, line, f"the Lua code in {name.value.text}")


def holding_field(one: HttpFilter) -> HoldingField | None:
    """Return the field that makes a filter hold the response; ``None`` if there is none."""
    if one.is_a("lua.v3.Lua"):
        return _lua(one.config)
    if one.is_a("ext_proc.v3.ExternalProcessor"):
        return _ext_proc(one.config, one.config)
    if one.is_a("file_system_buffer.v3.FileSystemBufferFilterConfig"):
        return _file_buffer(one.config)
    return None


def _lua(config: Node) -> HoldingField | None:
    entry = field_entry(field(config, "default_source_code"), "inline_string")
    entry = entry or field_entry(config, "inline_code")
    if entry is None:
        return None
    code = _COMMENT.sub("", entry.value.text)
    start = _ON_RESPONSE.search(code)
    if start is None:
        return None
    following = _ON_REQUEST.search(code, start.end())
    body = code[start.end() : following.start() if following else len(code)]
    if not re.search(rf"\b{re.escape(start[1])}\s*:\s*body\s*\(", body):
        return None
    return HoldingField(LUA_BODY, entry, f"{start[1]}:body()")


def _ext_proc(settings: Node | None, config: Node) -> HoldingField | None:
    """Return the field that selects a buffered mode in the settings of a filter or a route."""
    entry = field_entry(field(settings, "processing_mode"), "response_body_mode")
    if entry is None or entry.value.text not in {"BUFFERED", "BUFFERED_PARTIAL"}:
        return None
    if (override := field(config, "allow_mode_override")) and override.text == "true":
        how = f"{entry.value.text} (unless the processor overrides the mode, which is allowed)"
        return HoldingField(EXT_PROC_BODY, entry, how, Severity.WARNING, has_fix=False)
    return HoldingField(EXT_PROC_BODY, entry, entry.value.text)


def _file_buffer(config: Node) -> HoldingField | None:
    behavior = field(config, "response", "behavior")
    for name in ("fully_buffer", "fully_buffer_and_always_inject_content_length"):
        entry = field_entry(behavior, name)
        if entry is not None:
            return HoldingField(FILE_BUFFER, entry, name)
    return None
