"""httpd.conf: FastCGI's buffer, filters that hold, the cache, timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.apache.catalogue import RULES
from undam.lint.dialects.apache.reader import read_config
from undam.lint.dialects.apache.render import render
from undam.lint.dialects.apache.routes import Sections, streaming_routes
from undam.lint.dialects.apache.rules import Finder
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_NAME = re.compile(
    r"(?:^|/)(?:(?:httpd|apache2?)[^/]*\.conf|\.htaccess)$|/apache2?/(?:[^/]+/)?[^/]+\.conf$"
)
_OTHER_SUFFIXES = re.compile(
    r"\.(?:ya?ml|json|toml|vcl|py|js|ts|go|rs|c|h|java|rb|php|sh|md|rst|html?|xml|cfg|lua)$"
)
_SIGN = re.compile(
    r"^[ \t]*(?:<(?:VirtualHost|Location|LocationMatch|Directory|IfModule|Proxy)[ \t][^>\n]*>"
    r"|ProxyPass(?:Match|Reverse)?[ \t]+[^\n;]*$|LoadModule[ \t]+\w+_module[ \t]"
    r"|Rewrite(?:Rule|Cond)[ \t]+\S)",
    re.MULTILINE | re.IGNORECASE,
)


def recognises(path: str, text: str) -> bool:
    """httpd.conf, apache2.conf and their parts, by name or by directives of httpd alone."""
    name = path.replace("\\", "/").lower()
    if _NAME.search(name):
        return True
    return not _OTHER_SUFFIXES.search(name) and bool(_SIGN.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Every mistake on the routes that stream. Raises ConfigSyntaxError."""
    config = read_config(source, open_include)
    finder = Finder(config, Sections(config), settings.heartbeat_s)
    diagnostics: list[Diagnostic] = []
    for route in streaming_routes(config, settings.hints):
        diagnostics += finder.find(route)
    return LintResult(unique_diagnostics(diagnostics), tuple(config.unread), tuple(config.included))


DIALECT = Dialect(
    name="apache",
    title="Apache httpd",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
