"""Settings that a resource adds to a generated Envoy configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.envoy.parser import camel, seconds_of, type_of
from undam.lint.dialects.envoy.routes import HoldingField, HttpFilter
from undam.lint.dialects.envoy.rules import compression
from undam.lint.dialects.envoy.rules.buffering import holding_field
from undam.textfiles.tree import Entry, Node, walk

_IDLE = ("stream_idle_timeout",)
_TOTAL = ("max_stream_duration",)
# Fields with these names mean something else outside a route action.
_IDLE_IN_ROUTE = ("idle_timeout",)
_TOTAL_IN_ROUTE = ("timeout",)


@dataclass(frozen=True, slots=True, eq=False)
class PatchedLimit:
    """A time limit that is set by a patch or a policy.

    Args:
        name: name of the setting for messages.
        is_idle: it limits the silence of a stream, not its duration.
    """

    entry: Entry
    name: str
    seconds: float
    is_idle: bool


def holding_filters(patch: Node | None) -> Iterator[HoldingField]:
    """Yield filter fields that make Envoy buffer a response, or compress it without flushing."""
    for node in walk(patch) if patch else ():
        config = node.get("typed_config", "typedConfig")
        name = node.entry("name") or node.entry("typed_config", "typedConfig")
        if config is None or name is None:
            continue
        one = HttpFilter(name, config, type_of(config))
        found = holding_field(one)
        if found is None:
            found = compression.holding_compressor(one)
            if found is not None and found.rule is not compression.ZSTD:
                found = None
        if found is not None:
            yield found


def patched_limits(patch: Node | None) -> Iterator[PatchedLimit]:
    """Yield the stream time limits that a patch sets."""
    in_routes = {
        id(entry.value)
        for node in (walk(patch) if patch else ())
        for entry in node.entries
        if entry.key.text == "route"
    }
    for node in walk(patch) if patch else ():
        in_route = id(node) in in_routes
        for entry in node.entries:
            for names, is_idle, only_in_route in (
                (_IDLE, True, False), (_TOTAL, False, False),
                (_IDLE_IN_ROUTE, True, True), (_TOTAL_IN_ROUTE, False, True),
            ):  # fmt: skip
                is_named = any(entry.key.text in {name, camel(name)} for name in names)
                if is_named and (in_route or not only_in_route):
                    seconds = seconds_of(entry.value)
                    if seconds is not None:
                        yield PatchedLimit(entry, names[0], seconds, is_idle)


def json_patch_limit(operation: Node) -> PatchedLimit | None:
    """Return the limit that a JSON patch sets; ``None`` if its path does not lead to a limit."""
    path, value = operation.get("path"), operation.entry("value")
    if path is None or value is None or value.value.kind != "scalar":
        return None
    steps = path.text.rstrip("/").split("/")
    name, outer = steps[-1], steps[-2] if len(steps) > 1 else ""
    in_route = outer == "route"
    is_idle = name in _IDLE or (in_route and name in _IDLE_IN_ROUTE)
    is_total = name in _TOTAL or (in_route and name in _TOTAL_IN_ROUTE)
    seconds = seconds_of(value.value)
    if seconds is None or not (is_idle or is_total):
        return None
    return PatchedLimit(value, name, seconds, is_idle)
