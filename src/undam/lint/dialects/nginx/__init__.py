"""nginx: nginx.conf with the files it includes, and fragments of it."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.nginx.render import render
from undam.lint.dialects.nginx.routes import find_routes
from undam.lint.dialects.nginx.rules import RULES, find
from undam.lint.dialects.nginx.scopes import read_configuration
from undam.lint.routes import StreamLikelihood
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_NAME = re.compile(
    r"(?:^|/)(?:nginx[^/]*\.conf|[^/]+\.nginx|(?:sites-(?:available|enabled)|nginx)/[^/.]+"
    r"|nginx[^/]*\.conf\.(?:template|tmpl|tpl))$"
)
_OTHER_SUFFIXES = re.compile(
    r"\.(?:ya?ml|json|toml|vcl|hcl|tf|py|js|ts|go|rs|c|h|cc|cpp|java|rb|php|sh|md|rst|html?|css|lua)$"
)
_BLOCK = re.compile(
    r"^[ \t]*(?:http|server|upstream[ \t]+\S+|location[ \t][^\n{;#]*|map[ \t]+\S+[ \t]+\$\w+)"
    r"[ \t]*\{",
    re.MULTILINE,
)
# `name value;` without `=`, which no other format has inside such blocks.
_LINE = re.compile(
    r"(?:^|[{;])[ \t]*(?:listen|server_name|proxy_\w+|grpc_\w+|uwsgi_\w+|scgi_\w+|fastcgi_\w+"
    r"|server|root|include|return|access_log|error_log)[ \t]+[^\s={;][^\n;{]*;",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """Return whether nginx reads a file, by its name or by blocks and lines that only nginx has."""
    if _NAME.search(path):
        return True
    if _OTHER_SUFFIXES.search(path.lower()):
        return False
    return bool(_BLOCK.search(text) and _LINE.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Find the problems of the streaming routes.

    Raises:
        ConfigSyntaxError: the file, or one that it includes, cannot be parsed.
    """
    configuration = read_configuration(source, open_include)
    # A file that is included twice is reported once. What is in force there may differ between the
    # two places, so the first diagnostic of a rule is kept.
    diagnostics: dict[tuple[str, str, int, int], Diagnostic] = {}
    for route in find_routes(configuration, settings.hints):
        if route.streams is not StreamLikelihood.NO:
            for one in find(route, settings):
                diagnostics.setdefault((one.rule.code, one.path, one.line, one.column), one)
    return LintResult(tuple(diagnostics.values()), configuration.unread, configuration.included)


DIALECT = Dialect(
    name="nginx",
    title="nginx",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
