"""The HAProxy dialect: delayed packets, compression, waiting for a complete body, and timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.haproxy.hop import describe
from undam.lint.dialects.haproxy.parser import read_config, with_outer_defaults
from undam.lint.dialects.haproxy.render import render
from undam.lint.dialects.haproxy.routes import find_routes, unread_choices
from undam.lint.dialects.haproxy.rules import RULES, compression, find
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_SECTION = re.compile(
    r"^(?:frontend|backend|listen)[ \t]+[\w.:-]+[ \t]*(?:(?:#|from\b)[^\n]*)?\r?$", re.MULTILINE
)
_LINE = re.compile(
    r"^[ \t]+(?:mode (?:http|tcp)\b|server \S+ \S+|bind \S+|default_backend |use_backend )",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a haproxy.cfg, based on its name or on HAProxy-specific sections."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if "haproxy" in name and name.endswith((".cfg", ".conf")):
        return True
    if name.endswith((".yaml", ".yml", ".json")):
        return False
    if not has_any(text, "frontend", "backend", "listen"):
        return False
    return bool(_SECTION.search(text) and _LINE.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes in a haproxy.cfg.

    Raises:
        ConfigSyntaxError: the file cannot be parsed.
    """
    config = with_outer_defaults(read_config(source), source, open_include)
    routes = find_routes(config, settings.hints_for(source.path), source)
    found: list[Diagnostic] = []
    described: list[AssessedRoute] = []
    for route in routes:
        own: list[Diagnostic] = []
        if route.assessed.assessment.is_considered:
            own = for_route(route.assessed, find(route, source, settings))
        found += own
        described.append(describe(route, source, own, settings.target("haproxy")))
    diagnostics = unique_diagnostics(found)
    if not any(route.assessed.assessment.is_considered for route in routes):
        # If no route is known to stream, compression is still checked, because it affects every
        # route.
        diagnostics = unique_diagnostics(
            if_anything_streams(one) for route in routes for one in compression.find(route, source)
        )
    return LintResult(
        diagnostics,
        (*config.unread, *unread_choices(config, source)),
        routes=tuple(described),
    )


DIALECT = Dialect(
    name="haproxy",
    title="HAProxy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
