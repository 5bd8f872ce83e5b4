"""Envoy's bootstrap, listeners and routes, in YAML or JSON: the route's 15 s, idle limits, filters
that keep the body."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.envoy.catalogue import RULES
from undam.lint.dialects.envoy.filters import find_holding_filters, unread_code
from undam.lint.dialects.envoy.limits import find_limits, unread_limits
from undam.lint.dialects.envoy.model import find_managers, unread_parts
from undam.lint.dialects.envoy.render import render
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.yaml_reader import read_yaml

_OURS = re.compile(
    r"^[ \t{-]*[\"']?(?:static_resources|staticResources)[\"']?[ \t]*:"
    r"|type\.googleapis\.com/envoy\.(?:config|extensions)\.",
    re.MULTILINE,
)
# A resource of Kubernetes may carry a piece of Envoy's configuration; it is another dialect.
_KUBERNETES = re.compile(r"^[ \t{]*[\"']?apiVersion[\"']?[ \t]*:", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """A YAML or JSON file with Envoy's resources, or typed configurations of Envoy."""
    suffixed = path == "-" or path.lower().endswith((".yaml", ".yml", ".json"))
    return suffixed and bool(_OURS.search(text)) and not _KUBERNETES.search(text)


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Every mistake on the routes that stream. Raises ConfigSyntaxError."""
    documents = read_yaml(source)
    diagnostics: list[Diagnostic] = []
    unread = list(documents.unread)
    for root in documents.roots[:1]:
        unread += unread_parts(root, source)
        for manager in find_managers(root, settings.hints):
            diagnostics += find_holding_filters(manager, source)
            unread += unread_code(manager, source)
            for route in manager.routes:
                diagnostics += find_limits(manager, route, source, settings.heartbeat_s)
                unread += unread_limits(route, source)
    for further in documents.roots[1:]:
        line, _ = source.position(further.start)
        unread.append(
            UnreadPart(source.path, line, "a further document, which Envoy does not take")
        )
    return LintResult(unique_diagnostics(diagnostics), tuple(unread))


DIALECT = Dialect(
    name="envoy",
    title="Envoy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
