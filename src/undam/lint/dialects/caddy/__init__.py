"""The Caddyfile dialect: buffered responses, compression and timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_name_or_content
from undam.lint.dialects.caddy.hop import describe
from undam.lint.dialects.caddy.render import render
from undam.lint.dialects.caddy.routes import find_routes, read_config
from undam.lint.dialects.caddy.rules import RULES, find
from undam.lint.evidence.program_traits import diagnostics_by_route
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_NAME = re.compile(r"(?:^|/)caddyfile(?:\.[^/]*)?$|\.caddy(?:file)?$")
_OTHER_SUFFIXES = re.compile(r"\.(?:ya?ml|json|toml|vcl|py|js|ts|go|rs|sh|md|html?|cfg)$")
_CONTENT = re.compile(
    r"^[ \t]*(?:reverse_proxy|handle_path|php_fastcgi|file_server|encode)(?:[ \t][^;\n]*)?$",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a Caddyfile, based on its name or on Caddy-specific directives."""
    return has_name_or_content(path, text, name=_NAME, not_name=_OTHER_SUFFIXES, content=_CONTENT)


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes in a Caddyfile.

    Raises:
        ConfigSyntaxError: a file cannot be parsed.
    """
    config = read_config(source, open_include)
    routes = list(find_routes(config, settings.hints_for(source.path)))
    found = list(find(config, routes, settings))
    version = settings.target("caddy")
    grouped = diagnostics_by_route(found)
    described = [
        describe(config, one, grouped.get(id(one.assessed), []), version) for one in routes
    ]
    return LintResult(
        unique_diagnostics(found),
        tuple(config.unread),
        tuple(config.included),
        tuple(described),
        tuple(config.unopened),
    )


DIALECT = Dialect(
    name="caddy",
    title="Caddy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
