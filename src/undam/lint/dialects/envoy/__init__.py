"""The Envoy dialect: timeouts and filters in bootstrap, listener and route configurations."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.envoy.hop import describe
from undam.lint.dialects.envoy.parser import unread_parts
from undam.lint.dialects.envoy.render import render
from undam.lint.dialects.envoy.routes import find_managers
from undam.lint.dialects.envoy.rules import RULES, find, find_server_wide
from undam.lint.dialects.envoy.rules.buffering import unread_code
from undam.lint.dialects.envoy.rules.limits import unread_limits
from undam.lint.evidence.program_traits import diagnostics_by_route
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.yaml_reader import read_yaml

_CONTENT = re.compile(
    r"^[ \t{-]*[\"']?(?:static_resources|staticResources)[\"']?[ \t]*:"
    r"|type\.googleapis\.com/envoy\.(?:config|extensions)\.",
    re.MULTILINE,
)
# Kubernetes resources with embedded Envoy configuration belong to another dialect. helm-unittest
# files contain the expected output of a chart, not active configuration.
_UNIT_TEST = re.compile(r"^(?:suite|tests)[ \t]*:", re.MULTILINE)
_KUBERNETES = re.compile(r"^[ \t{]*[\"']?apiVersion[\"']?[ \t]*:", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a YAML or JSON file contains Envoy resources or typed configurations."""
    suffixed = path == "-" or path.lower().endswith((".yaml", ".yml", ".json"))
    if not suffixed or not has_any(text, "static_resources", "staticResources", "com/envoy."):
        return False
    if not _CONTENT.search(text):
        return False
    return not (_KUBERNETES.search(text) or _UNIT_TEST.search(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes in an Envoy configuration.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    documents = read_yaml(source)
    diagnostics: list[Diagnostic] = []
    routes: list[AssessedRoute] = []
    unread = list(documents.unread)
    for root in documents.roots[:1]:
        unread += unread_parts(root, source)
        for manager in find_managers(root, settings.hints_for(source.path), source):
            found = list(find(manager, source, settings))
            diagnostics += found
            # A route whose path excludes streams has evidence.
            may_stream = any(not one.assessment.evidence for one in manager.others)
            if may_stream and not manager.routes and not settings.stream_paths:
                diagnostics += find_server_wide(manager, source)
            grouped = diagnostics_by_route(found)
            for one in manager.routes:
                own = grouped.get(id(one.assessed), [])
                version = settings.target("envoy")
                routes.append(describe(manager, one, source, own, version))
            routes += manager.others
            unread += unread_code(manager, source)
            for route in manager.routes:
                unread += unread_limits(route, source)
    for further in documents.roots[1:]:
        line, _ = source.position(further.start)
        unread.append(
            UnreadPart(source.path, line, "a further document, which Envoy does not read")
        )
    routes.sort(key=lambda one: one.line)
    return LintResult(unique_diagnostics(diagnostics), tuple(unread), routes=tuple(routes))


DIALECT = Dialect(
    name="envoy",
    title="Envoy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
