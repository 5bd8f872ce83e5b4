"""The httpd.conf dialect: FastCGI buffers, filters that hold streams, caching and timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_name_or_content
from undam.lint.dialects.apache.hop import describe_all
from undam.lint.dialects.apache.parser import read_config
from undam.lint.dialects.apache.render import render
from undam.lint.dialects.apache.routes import find_routes
from undam.lint.dialects.apache.rules import RULES, find
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_NAME = re.compile(
    r"(?:^|/)(?:(?:httpd|apache2?)[^/]*\.conf|\.htaccess)$|/apache2?/(?:[^/]+/)?[^/]+\.conf$"
)
_OTHER_SUFFIXES = re.compile(
    r"\.(?:ya?ml|json|toml|vcl|py|js|ts|go|rs|c|h|java|rb|php|sh|md|rst|html?|xml|cfg|lua)$"
)
_CONTENT = re.compile(
    r"^[ \t]*(?:<(?:VirtualHost|Location|LocationMatch|Directory|IfModule|Proxy)[ \t][^>\n]*>"
    r"|ProxyPass(?:Match|Reverse)?[ \t]+[^\n;]*$|LoadModule[ \t]+\w+_module[ \t]"
    r"|Rewrite(?:Rule|Cond)[ \t]+\S)",
    re.MULTILINE | re.IGNORECASE,
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file configures httpd, based on its name or on httpd-specific directives."""
    return has_name_or_content(path, text, name=_NAME, not_name=_OTHER_SUFFIXES, content=_CONTENT)


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes in an httpd configuration.

    Raises:
        ConfigSyntaxError: a file cannot be parsed.
    """
    config = read_config(source, open_include)
    routes = list(find_routes(config, settings.hints_for(source.path)))
    found = list(find(config, routes, settings))
    return LintResult(
        unique_diagnostics(found),
        tuple(config.unread),
        tuple(config.included),
        tuple(describe_all(config, routes, found, settings.target("apache"))),
        tuple(config.unopened),
    )


DIALECT = Dialect(
    name="apache",
    title="Apache httpd",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
