"""Caddyfile: buffered responses, compression, timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.caddy.catalogue import RULES
from undam.lint.dialects.caddy.render import render
from undam.lint.dialects.caddy.routes import read_config, streaming_routes
from undam.lint.dialects.caddy.rules import find_global, find_on_route
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_NAME = re.compile(r"(?:^|/)caddyfile(?:\.[^/]*)?$|\.caddy(?:file)?$")
_OTHER_SUFFIXES = re.compile(r"\.(?:ya?ml|json|toml|vcl|py|js|ts|go|rs|sh|md|html?|cfg)$")
_SIGN = re.compile(
    r"^[ \t]*(?:reverse_proxy|handle_path|php_fastcgi|file_server|encode)(?:[ \t][^;\n]*)?$",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """Caddyfile, *.caddy, or directives that only Caddy knows."""
    name = path.replace("\\", "/").lower()
    if _NAME.search(name):
        return True
    return not _OTHER_SUFFIXES.search(name) and bool(_SIGN.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Every mistake on the routes that stream. Raises ConfigSyntaxError."""
    config = read_config(source, open_include)
    routes = list(streaming_routes(config, settings.hints))
    diagnostics: list[Diagnostic] = list(find_global(config)) if routes else []
    for route in routes:
        diagnostics += find_on_route(route, settings.heartbeat_s)
    return LintResult(unique_diagnostics(diagnostics), tuple(config.unread), tuple(config.included))


DIALECT = Dialect(
    name="caddy",
    title="Caddy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
