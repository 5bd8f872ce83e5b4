"""lighttpd.conf: responses that are held whole, and limits of silence."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.lighttpd.catalogue import RULES
from undam.lint.dialects.lighttpd.reader import read_config
from undam.lint.dialects.lighttpd.render import render
from undam.lint.dialects.lighttpd.routes import streaming_routes
from undam.lint.dialects.lighttpd.rules import find_headers, find_held, find_limits
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_SIGN = re.compile(
    r"^[ \t]*(?:(?:server\.[a-z-]+|proxy\.server|var\.\w+)[ \t]*(?:\+|:)?=|\$HTTP\[)", re.MULTILINE
)


def recognises(path: str, text: str) -> bool:
    """lighttpd*.conf, or assignments to server.*."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if "lighttpd" in name and name.endswith(".conf"):
        return True
    return name.endswith((".conf", "-")) and bool(_SIGN.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Every mistake on the routes that stream. Raises ConfigSyntaxError."""
    config = read_config(source, open_include)
    diagnostics: list[Diagnostic] = []
    for route in streaming_routes(config, settings.hints):
        diagnostics += find_held(route, config, settings.hints)
        diagnostics += find_headers(route, config)
        diagnostics += find_limits(route, config, settings.hints, settings.heartbeat_s)
    return LintResult(unique_diagnostics(diagnostics), tuple(config.unread), tuple(config.included))


DIALECT = Dialect(
    name="lighttpd",
    title="lighttpd",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
