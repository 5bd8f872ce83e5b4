"""The nginx dialect: nginx.conf with its included files, and configuration fragments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import (
    Diagnostic,
    for_route,
    if_anything_streams,
    unique_diagnostics,
    with_unread_part,
)
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.nginx.hop import describe
from undam.lint.dialects.nginx.render import render
from undam.lint.dialects.nginx.routes import NginxRoute, find_routes
from undam.lint.dialects.nginx.rules import RULES, find
from undam.lint.dialects.nginx.rules.buffering import find_compression
from undam.lint.dialects.nginx.scopes import read_configuration
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.templates import OPAQUE

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
# A line `name value;` without `=`. No other file format has such lines in these blocks.
_LINE = re.compile(
    r"(?:^|[{;])[ \t]*(?:listen|server_name|proxy_\w+|grpc_\w+|uwsgi_\w+|scgi_\w+|fastcgi_\w+"
    r"|server|root|include|return|access_log|error_log)[ \t]+[^\s={;][^\n;{]*;",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file configures nginx, based on its name or on nginx-specific syntax."""
    if _NAME.search(path):
        return True
    if _OTHER_SUFFIXES.search(path.lower()):
        return False
    return bool(_BLOCK.search(text) and _LINE.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes in an nginx configuration.

    Raises:
        ConfigSyntaxError: the file cannot be parsed.
    """
    configuration = read_configuration(source, open_include)
    routes = find_routes(configuration, settings.hints_for(source.path))
    found: list[Diagnostic] = []
    described: list[AssessedRoute] = []
    version = settings.target("nginx")
    for route in routes:
        own: list[Diagnostic] = []
        if route.assessed.assessment.is_considered:
            own = for_route(route.assessed, _find(route, settings))
        found += own
        described.append(describe(route, own, version))
    if not found:
        found = [if_anything_streams(one) for route in routes for one in find_compression(route)]
    # Problems in a file that is included twice are reported once. The directives in force may
    # differ between the includes, so the first diagnostic for each rule is kept.
    return LintResult(
        unique_diagnostics(found),
        (*configuration.unread, *_unknown_values(routes)),
        configuration.included,
        tuple(described),
        knows_scopes=True,
    )


def _find(route: NginxRoute, settings: Settings) -> Iterator[Diagnostic]:
    """Find problems on a route. Unread parts may contain a directive that appears to be missing."""
    unread = route.scope.unread_part
    for one in find(route, settings):
        # A fix that only changes or removes a line in the scope does not depend on the unread
        # parts.
        inserted = [edit for edit in one.edits if edit.text.rstrip().endswith(";")]
        is_present = bool(one.edits) and not inserted
        yield one if unread is None or is_present else with_unread_part(one, unread)


def _unknown_values(routes: list[NginxRoute]) -> Iterator[UnreadPart]:
    """Yield the settings on streaming routes whose value is a placeholder of a template."""
    for route in routes:
        names = (f"{route.protocol}_buffering", f"{route.protocol}_read_timeout", "gzip")
        for one in (each for name in names for each in route.scope.in_force(name)[-1:]):
            if route.assessed.assessment.is_considered and OPAQUE in one.value:
                line, _ = one.source.position(one.start)
                yield UnreadPart(one.source.path, line, f"the value of {one.name}: {one.value}")


DIALECT = Dialect(
    name="nginx",
    title="nginx",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
