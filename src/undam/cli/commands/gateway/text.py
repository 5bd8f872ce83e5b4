"""The effective configuration of a gateway as TOML or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from undam.gateway.config.config import Config
from undam.gateway.config.options import OPTIONS


def toml_lines(config: Config) -> Iterator[str]:
    """Yield the configuration as lines of TOML that `--config` accepts.

    API keys appear as references to their variable or file.
    """
    for option in OPTIONS:
        value = _plain(getattr(config, option.name))
        same = "  # default" if value == _plain(option.default) else ""
        yield f"{option.name} = {_toml(value)}{same}"
    if config.aliases:
        yield ""
        yield "[aliases]"
        for alias, model in config.aliases.items():
            yield f"{_toml(alias)} = {_toml(model)}"
    for upstream in config.upstreams:
        yield ""
        yield "[[upstream]]"
        yield f"url = {_toml(upstream.url)}"
        yield f"name = {_toml(upstream.name)}"
        if upstream.max_streams:
            yield f"max_streams = {upstream.max_streams}"
        if upstream.models:
            yield f"models = {_toml(list(upstream.models))}"
        if upstream.priority:
            yield f"priority = {upstream.priority}"
        if upstream.resolve:
            yield "resolve = true"


def config_json(config: Config) -> dict[str, object]:
    """Return the configuration as JSON data for `--json`."""
    values = {option.name: _plain(getattr(config, option.name)) for option in OPTIONS}
    upstreams = [
        {
            "url": one.url,
            "name": one.name,
            "max_streams": one.max_streams,
            "models": list(one.models),
            "priority": one.priority,
            "resolve": one.resolve,
        }
        for one in config.upstreams
    ]
    values |= {"upstream": upstreams, "aliases": dict(config.aliases)}
    return {"schema": 1, "command": "gateway", "config": values}


def _plain(value: object) -> object:
    """Convert an option's value to a type that TOML and JSON support."""
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _toml(value: object) -> str:
    """Format a value as TOML. Strings are written as in JSON, but without surrogate escapes."""
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)
