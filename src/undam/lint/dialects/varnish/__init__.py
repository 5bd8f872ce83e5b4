"""The Varnish dialect: responses that are fetched completely first, gzip, and idle timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.varnish.hop import describe
from undam.lint.dialects.varnish.parser import read_vcl
from undam.lint.dialects.varnish.render import render
from undam.lint.dialects.varnish.routes import VclRoutes
from undam.lint.dialects.varnish.rules import RULES, find
from undam.lint.dialects.varnish.rules.buffering import unread_flags
from undam.lint.routes import AssessedRoute, Assessment, RouteOutcome
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_CONTENT = re.compile(r"^[ \t]*(?:vcl[ \t]+4\.\d[ \t]*;|sub[ \t]+vcl_\w+)", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is VCL, based on its name, its version line or a built-in sub."""
    name = path.lower()
    if name.endswith((".yaml", ".yml", ".json")):
        return False
    return name.endswith(".vcl") or ("vcl" in text and bool(_CONTENT.search(text)))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streams that pass through Varnish.

    Raises:
        ConfigSyntaxError: a file cannot be parsed.
    """
    vcl = read_vcl(source, open_include)
    hints = settings.hints_for(source.path)
    routes, outcome = VclRoutes(vcl, hints, RouteOutcome.STREAMS), RouteOutcome.STREAMS
    if not routes.streams_pass:
        routes = VclRoutes(vcl, hints, RouteOutcome.MAYBE)
        outcome = RouteOutcome.MAYBE if routes.streams_pass else RouteOutcome.UNKNOWN
    upstream = vcl.backends[0].name if vcl.backends else ""
    traffic = AssessedRoute(source.path, 1, "/", upstream, Assessment(outcome))
    found = for_route(traffic, find(vcl, routes, settings))
    return LintResult(
        unique_diagnostics(found),
        (*vcl.unread, *unread_flags(vcl, routes)),
        tuple(vcl.included),
        (describe(vcl, traffic, found, settings.target("varnish")),),
        tuple(one.what for one in vcl.unread if one.what.startswith("include")),
    )


DIALECT = Dialect(
    name="varnish",
    title="Varnish VCL",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
