"""Knob 1: HTTP filters that keep the response's body."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.dialects.envoy.catalogue import EXT_PROC_BODY, FILE_BUFFER, GZIP, LUA_BODY, ZSTD
from undam.lint.dialects.envoy.model import (
    Filter,
    Manager,
    Route,
    camel,
    field,
    field_entry,
    type_of,
)
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node
from undam.textfiles.tree_edit import Value, insert_entry

_ON_RESPONSE = re.compile(r"\bfunction\s+envoy_on_response\s*\(\s*(\w+)\s*\)")
_ON_REQUEST = re.compile(r"\bfunction\s+envoy_on_request\b")
_COMMENT = re.compile(r"--(?!\[)[^\n]*")
# More filters than any real chain has; each is weighed against each route.
_MANY = 50
_OFF: Value = {
    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
    "disabled": True,
}


def find_holding_filters(manager: Manager, source: Source) -> Iterator[Diagnostic]:
    """Filters that hold the response on a streaming route which does not switch them off."""
    for one in manager.filters[:_MANY]:
        held = _judge(one) if manager.routes else None
        if held is None:
            continue
        routes = [route for route in manager.routes if not _set_apart(route, one)]
        if not routes:
            continue
        rule, entry, how = held
        edits = [edit for route in routes if (edit := _switch_off(source, route, one))]
        span = (entry.key.start, entry.key.end)
        whole = len(edits) == len(routes) and rule is not GZIP
        yield diagnostic_at(rule, source, span, *(edits if whole else ()), how=how)


def unread_code(manager: Manager, source: Source) -> Iterator[UnreadPart]:
    """Lua code that stands in files of its own."""
    for one in manager.filters:
        named = field_entry(field(one.config, "default_source_code"), "filename")
        if _is(one, "lua.v3.Lua") and named is not None and manager.routes:
            line, _ = source.position(named.key.start)
            yield UnreadPart(source.path, line, f"the Lua code in {named.value.text}")


# The rule, the offending field, and how it holds.
Held = tuple[ConfigRule, Entry, str]


def _judge(one: Filter) -> Held | None:
    if _is(one, "lua.v3.Lua"):
        return _lua(one.config)
    if _is(one, "ext_proc.v3.ExternalProcessor"):
        return _ext_proc(one.config)
    if _is(one, "file_system_buffer.v3.FileSystemBufferFilterConfig"):
        return _file_buffer(one.config)
    if _is(one, "compressor.v3.Compressor"):
        return _compressor(one.config)
    return None


def _is(one: Filter, kind: str) -> bool:
    return one.kind == f"envoy.extensions.filters.http.{kind}"


def _lua(config: Node) -> Held | None:
    entry = field_entry(field(config, "default_source_code"), "inline_string")
    entry = entry or field_entry(config, "inline_code")
    if entry is None:
        return None
    code = _COMMENT.sub("", entry.value.text)
    opened = _ON_RESPONSE.search(code)
    if opened is None:
        return None
    following = _ON_REQUEST.search(code, opened.end())
    call = f"{opened[1]}:body()"
    body = code[opened.end() : following.start() if following else len(code)]
    if not re.search(rf"\b{re.escape(opened[1])}\s*:\s*body\s*\(", body):
        return None
    return LUA_BODY, entry, call


def _ext_proc(config: Node) -> Held | None:
    entry = field_entry(field(config, "processing_mode"), "response_body_mode")
    if entry is None or entry.value.text not in {"BUFFERED", "BUFFERED_PARTIAL"}:
        return None
    return EXT_PROC_BODY, entry, entry.value.text


def _file_buffer(config: Node) -> Held | None:
    behavior = field(config, "response", "behavior")
    for name in ("fully_buffer", "fully_buffer_and_always_inject_content_length"):
        entry = field_entry(behavior, name)
        if entry is not None:
            return FILE_BUFFER, entry, name
    return None


def _compressor(config: Node) -> Held | None:
    common = field(config, "response_direction_config", "common_config")
    enabled = field(common, "enabled", "default_value")
    entry = field_entry(common, "content_type") or field_entry(config, "content_type")
    if entry is None or (enabled is not None and enabled.text == "false"):
        return None
    if not any(item.text.lower().startswith("text/event-stream") for item in entry.value.items):
        return None
    library = type_of(field(config, "compressor_library", "typed_config")).rpartition(".")[2]
    if library == "Zstd":
        return ZSTD, entry, "zstd"
    return GZIP, entry, library.lower() or "the compressor"


def _set_apart(route: Route, one: Filter) -> bool:
    """Whether the route, or what it stands in, has a setting of its own for the filter."""
    per_filter = (field(node, "typed_per_filter_config") for node in (route.node, *route.around))
    return any(node.get(one.name.value.text) for node in per_filter if node is not None)


def _switch_off(source: Source, route: Route, one: Filter) -> Edit | None:
    name = one.name.value.text
    existing = field(route.node, "typed_per_filter_config")
    if existing is not None:
        return insert_entry(source, existing, name, _OFF)
    key = "typed_per_filter_config"
    spelled = camel(key) if _speaks_camel(route) else key
    return insert_entry(source, route.node, spelled, {name: _OFF})


def _speaks_camel(route: Route) -> bool:
    return any(table.entry("virtualHosts") for table in route.around)
