"""The compose dialect: Traefik and Caddy labels, and the settings of streaming services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.caddy.hop import describe
from undam.lint.dialects.caddy.routes import CaddyConfig, find_routes
from undam.lint.dialects.caddy.rules import find as find_caddy
from undam.lint.dialects.compose.caddy_labels import caddy_config
from undam.lint.dialects.compose.parser import services_of
from undam.lint.dialects.compose.render import render
from undam.lint.dialects.compose.routes import find_services
from undam.lint.dialects.compose.rules import RULES, limits
from undam.lint.dialects.compose.traefik_labels import traefik_tree, with_label_edits
from undam.lint.dialects.traefik import lint_tree
from undam.lint.evidence.neighbours import neighbours_from
from undam.lint.evidence.program_traits import diagnostics_by_route
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.yaml_reader import read_yaml

_SERVICES = re.compile(
    r"^services[ \t]*:[ \t]*(?:\{|(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*"
    r"[ \t]+[\w.\"'-]+[ \t]*:)",
    re.MULTILINE,
)
_CONTAINER = re.compile(r"(?:^|[\s{,])(?:image|build|extends|container_name)[ \t]*:", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a YAML file defines compose services."""
    if not path.lower().endswith((".yaml", ".yml", "-")) or "services" not in text:
        return False
    return bool(_SERVICES.search(text) and _CONTAINER.search(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the streaming services, and the proxies that are configured through labels.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    documents = read_yaml(source)
    root = documents.roots[0] if documents.roots else None
    if root is None:
        return LintResult()
    services = services_of(root)
    settings = _with_own_services(settings, source)
    found: list[Diagnostic] = []
    routes: list[AssessedRoute] = []
    unread: list[UnreadPart] = list(documents.unread)
    for one in find_services(services, root, source):
        routes.append(one.assessed)
        found += for_route(one.assessed, limits.find(one, source))
    tree = traefik_tree(services, source)
    if tree is not None:
        labelled = lint_tree(tree, source, settings)
        found += (with_label_edits(one, services, source) for one in labelled.diagnostics)
        routes += labelled.routes
        unread += labelled.unread
    config = caddy_config(services, source)
    if config is not None:
        for route, own in _lint_caddy(config, source, settings):
            routes.append(route)
            found += own
    return LintResult(unique_diagnostics(found), tuple(dict.fromkeys(unread)), routes=tuple(routes))


def _with_own_services(settings: Settings, source: Source) -> Settings:
    """Return the settings, with the services in the file added as further evidence."""
    own = neighbours_from([(source.path, source.text)])
    around = settings.neighbours
    merged = replace(
        around,
        services={**around.services, **own.services},
        targets={**around.targets, **own.targets},
    )
    return replace(settings, neighbours=merged)


def _lint_caddy(
    config: CaddyConfig, source: Source, settings: Settings
) -> Iterator[tuple[AssessedRoute, list[Diagnostic]]]:
    routes = list(find_routes(config, settings.hints_for(source.path)))
    found = list(find_caddy(config, routes, settings))
    version = settings.target("caddy")
    grouped = diagnostics_by_route(found)
    for route in routes:
        own = grouped.get(id(route.assessed), [])
        yield describe(config, route, own, version), list(_in_labels(own))


def _in_labels(found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Yield the diagnostics without the fixes that cannot be expressed in a label."""
    for one in found:
        fits = all(edit.start < edit.end and not set(edit.text) & set("\n{}") for edit in one.edits)
        yield one if fits else replace(one, edits=())


DIALECT = Dialect(
    name="compose",
    title="Docker Compose",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
