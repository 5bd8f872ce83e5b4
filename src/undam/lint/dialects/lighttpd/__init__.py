"""The lighttpd dialect: fully buffered responses and idle timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.lighttpd.hop import describe
from undam.lint.dialects.lighttpd.parser import read_config
from undam.lint.dialects.lighttpd.render import render
from undam.lint.dialects.lighttpd.routes import find_routes
from undam.lint.dialects.lighttpd.rules import RULES, find
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_CONTENT = re.compile(
    r"^[ \t]*(?:(?:server\.[a-z-]+|proxy\.server|var\.\w+)[ \t]*(?:\+|:)?=|\$HTTP\[)", re.MULTILINE
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a lighttpd.conf, based on its name or on server.* assignments."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if "lighttpd" in name and name.endswith(".conf"):
        return True
    return name.endswith((".conf", "-")) and bool(_CONTENT.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes in a lighttpd.conf.

    Raises:
        ConfigSyntaxError: a file cannot be parsed.
    """
    config = read_config(source, open_include)
    routes = list(find_routes(config, settings.hints_for(source.path)))
    found: list[Diagnostic] = []
    described: list[AssessedRoute] = []
    for route in routes:
        own: list[Diagnostic] = []
        if route.assessed.assessment.is_considered:
            own = for_route(route.assessed, find(route, config, settings))
        found += own
        described.append(describe(config, route, own, settings.target("lighttpd")))
    return LintResult(
        unique_diagnostics(found),
        tuple(config.unread),
        tuple(config.included),
        tuple(described),
        tuple(one.what for one in config.unread if one.what.startswith("include")),
    )


DIALECT = Dialect(
    name="lighttpd",
    title="lighttpd",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
