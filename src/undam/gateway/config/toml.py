"""Reader for the gateway's TOML file. Every error message includes a line and column."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from undam.errors import ConfigSyntaxError, UsageError
from undam.gateway.config.config import (
    UpstreamConfig,
    check_listen,
    check_upstream,
    upstream_from_url,
)
from undam.gateway.config.options import (
    BY_NAME,
    ListType,
    NumberType,
    Option,
    StringType,
    SwitchType,
)
from undam.textfiles.source import Source
from undam.textfiles.toml_reader import read_toml
from undam.textfiles.tree import Entry, Node

_UPSTREAM = {
    "url": Option("url", StringType(), "", ""),
    "name": Option("name", StringType(), "", ""),
    "max_streams": Option("max_streams", NumberType("N", 0, 10**6), 0, ""),
    "models": Option("models", ListType(), (), ""),
    "priority": Option("priority", NumberType("N", 0, 100), 0, ""),
    "resolve": Option("resolve", SwitchType(), False, ""),
}


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """Contents of a configuration file: option values by name, upstreams, and models by alias."""

    values: dict[str, Any]
    upstreams: list[UpstreamConfig]
    aliases: dict[str, str]


def parse_config(text: str, path: str) -> ParsedConfig:
    """Return the validated contents of a configuration file.

    ``upstream`` is a URL, a list of URLs, or ``[[upstream]]`` tables with the keys of
    `UpstreamConfig`. ``aliases`` is a table of model names by alias.

    Raises:
        ConfigSyntaxError: the text is not TOML, or a key, type or value is invalid. For an
            unknown key, the message suggests the closest one.
    """
    source = Source(path, text)
    tree = read_toml(source)
    parsed = tomllib.loads(text)
    values: dict[str, Any] = {}
    upstreams: list[UpstreamConfig] = []
    aliases: dict[str, str] = {}
    for entry in tree.entries:
        name = entry.key.text
        if name == "aliases":
            aliases = _aliases(source, entry, parsed[name])
            continue
        if name == "upstream":
            upstreams = _upstreams(source, entry, parsed[name])
            continue
        option = BY_NAME.get(name)
        if option is None:
            raise _unknown(source, entry, [*BY_NAME, "upstream", "aliases"])
        values[name] = _value(source, entry, option, parsed[name])
    return ParsedConfig(values, upstreams, aliases)


def _aliases(source: Source, entry: Entry, given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(
        isinstance(model, str) and model for model in given.values()
    ):
        raise source.error('aliases must be a table such as "gpt-4" = "llama"', entry.key.start)
    return dict(given)


def _value(source: Source, entry: Entry, option: Option, given: object) -> Any:
    try:
        value = option.type.from_toml(given)
        if option.name == "listen":
            check_listen(value)
    except ValueError as problem:
        raise source.error(f"{option.name} {problem}", entry.key.start) from None
    except UsageError as problem:
        raise source.error(str(problem), entry.key.start) from None
    return value


def _upstreams(source: Source, entry: Entry, given: object) -> list[UpstreamConfig]:
    listed = given if isinstance(given, list) else [given]
    nodes = entry.value.items if isinstance(given, list) else [entry.value]
    if not listed:
        raise source.error("upstream must not be empty", entry.key.start)
    found: list[UpstreamConfig] = []
    for node, one in zip(nodes, listed, strict=True):
        at = node.start if isinstance(given, list) else entry.key.start
        if isinstance(one, str):
            made = _checked(source, at, one, {})
        elif isinstance(one, dict):
            made = _table(source, at, node, one)
        else:
            raise source.error("upstream must be a URL, a list of URLs, or tables", at)
        if made.name in {other.name for other in found}:
            raise source.error(f"two upstreams have the name {made.name!r}", at)
        found.append(made)
    return found


def _table(source: Source, at: int, node: Node, given: Mapping[str, object]) -> UpstreamConfig:
    values: dict[str, Any] = {}
    for entry in node.entries:
        option = _UPSTREAM.get(entry.key.text)
        if option is None:
            raise _unknown(source, entry, [*_UPSTREAM])
        values[option.name] = _value(source, entry, option, given[option.name])
    if "url" not in values:
        raise source.error('this upstream has no url; add url = "http://HOST:PORT"', at)
    url = values.pop("url")
    entry_of_url = node.entry("url")
    return _checked(source, entry_of_url.key.start if entry_of_url else at, url, values)


def _checked(source: Source, at: int, url: str, values: Mapping[str, Any]) -> UpstreamConfig:
    try:
        made = upstream_from_url(url)
        name = values.get("name") or made.name
        made = replace(made, **{**values, "name": name})
        check_upstream(made)
    except UsageError as problem:
        raise source.error(str(problem), at) from None
    return made


def _unknown(source: Source, entry: Entry, names: list[str]) -> ConfigSyntaxError:
    key = entry.key.text
    near = difflib.get_close_matches(key.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    hint = f'Did you mean "{near[0]}"?' if near else f"Known keys: {', '.join(sorted(names))}"
    return source.error(f'unknown key "{key[:80]}". {hint}', entry.key.start)
