"""The Squid dialect: limits on idle time, duration and size, and delay pools."""

from __future__ import annotations

import re

from undam.lint.diagnostics import for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.squid.hop import describe
from undam.lint.dialects.squid.parser import read_config
from undam.lint.dialects.squid.render import render
from undam.lint.dialects.squid.routes import assess_traffic
from undam.lint.dialects.squid.rules import RULES, find, find_total
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_CONTENT = re.compile(r"^[ \t]*(?:http_access|cache_peer|http_port)[ \t]+[^\s=:]", re.MULTILINE)
_OTHER_SUFFIXES = frozenset(
    {"toml", "ini", "yaml", "yml", "json", "properties", "env", "xml", "vcl"}
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a squid.conf, based on its name or on Squid-specific directives."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if name.startswith("squid") and name.endswith(".conf"):
        return True
    return name.rpartition(".")[2] not in _OTHER_SUFFIXES and bool(_CONTENT.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streams that pass through Squid.

    Raises:
        ConfigSyntaxError: a file cannot be parsed.
    """
    config = read_config(source, open_include)
    traffic = assess_traffic(config, source, settings.hints_for(source.path))
    if traffic.assessment.is_considered:
        found = for_route(traffic, find(config, settings))
    else:
        found = [if_anything_streams(one) for one in find_total(config)]
    return LintResult(
        unique_diagnostics(found),
        tuple(config.unread),
        tuple(config.included),
        (describe(config, traffic, found, settings.target("squid")),),
        tuple(one.what for one in config.unread),
    )


DIALECT = Dialect(
    name="squid",
    title="Squid",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
