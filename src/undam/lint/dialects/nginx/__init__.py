"""nginx: nginx.conf, with what it includes, and parts of it."""

from __future__ import annotations

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.nginx.recognise import is_nginx
from undam.lint.dialects.nginx.render import render_nginx
from undam.lint.dialects.nginx.routes import find_routes
from undam.lint.dialects.nginx.rules import FINDERS, RULES
from undam.lint.dialects.nginx.scopes import read_configuration
from undam.lint.routes import StreamLikelihood
from undam.lint.settings import Settings
from undam.textfiles.source import Source

__all__ = ["DIALECT", "lint_nginx"]


def lint_nginx(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """What is wrong with the routes that stream; nothing is said of others.

    Raises:
        ConfigSyntaxError: the file, or one that it includes, cannot be read.
    """
    configuration = read_configuration(source, open_include)
    # A file that is included twice is told of once; its settings may differ by place, so the first
    # that a rule finds stands for all.
    found: dict[tuple[str, str, int, int], Diagnostic] = {}
    for route in find_routes(configuration, settings.hints):
        if route.streams is not StreamLikelihood.NO:
            for find in FINDERS:
                for one in find(route, settings):
                    found.setdefault((one.rule.code, one.path, one.line, one.column), one)
    return LintResult(tuple(found.values()), configuration.unread, configuration.included)


DIALECT = Dialect(
    name="nginx",
    title="nginx",
    rules=RULES,
    recognises=is_nginx,
    lint=lint_nginx,
    render=render_nginx,
)
