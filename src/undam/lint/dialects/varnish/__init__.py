"""VCL: responses that are fetched whole, gzip, and limits of silence."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.varnish.catalogue import RULES
from undam.lint.dialects.varnish.reader import read_vcl
from undam.lint.dialects.varnish.render import render
from undam.lint.dialects.varnish.routes import Routes
from undam.lint.dialects.varnish.rules import find_flags, find_limits, not_understood
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_SIGN = re.compile(r"^[ \t]*(?:vcl[ \t]+4\.\d[ \t]*;|sub[ \t]+vcl_\w+)", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """*.vcl, or a text that names its version or one of Varnish's subs."""
    return path.lower().endswith(".vcl") or bool(_SIGN.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Every mistake that a stream meets. Raises ConfigSyntaxError."""
    vcl = read_vcl(source, open_include)
    routes = Routes(vcl, settings.hints)
    diagnostics: list[Diagnostic] = [
        *find_flags(vcl, routes),
        *find_limits(vcl, routes, settings.heartbeat_s),
    ]
    unread = (*vcl.unread, *not_understood(vcl, routes))
    return LintResult(unique_diagnostics(diagnostics), unread, tuple(vcl.included))


DIALECT = Dialect(
    name="varnish",
    title="Varnish VCL",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
