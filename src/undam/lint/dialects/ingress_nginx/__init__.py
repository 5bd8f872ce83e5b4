"""The ingress-nginx dialect: Ingress annotations and the ConfigMap of the controller."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.ingress_nginx.hop import describe
from undam.lint.dialects.ingress_nginx.parser import PREFIX
from undam.lint.dialects.ingress_nginx.render import render
from undam.lint.dialects.ingress_nginx.routes import find_config_maps, find_ingresses
from undam.lint.dialects.ingress_nginx.rules import (
    RULES,
    find_in_config_map,
    find_in_ingress,
)
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source
from undam.textfiles.yaml_reader import read_yaml

_KIND = re.compile(
    r"^[ \t{,-]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?(Ingress|ConfigMap)\b", re.MULTILINE
)
_NGINX_CLASS = re.compile(
    r"nginx\.ingress\.kubernetes\.io/|ingress\.?class(?:Name)?[\"']?:[ \t]*[\w\"'.-]*nginx",
    re.IGNORECASE,
)
_CONTROLLER = re.compile(r"^[ \t]*[\"']?name[\"']?[ \t]*:[ \t]*[\"']?[\w-]*nginx", re.MULTILINE)
_KEY = re.compile(
    r"^[ \t]*[\"']?(?:proxy-buffering|proxy-read-timeout|proxy-send-timeout|use-gzip|gzip-types"
    r"|worker-shutdown-timeout|proxy-buffer-size|enable-brotli|brotli-types)[\"']?[ \t]*:",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """Return whether a manifest contains an Ingress for ingress-nginx or its ConfigMap."""
    if not path.lower().endswith((".yaml", ".yml", ".json", "-")):
        return False
    if PREFIX in text:
        return True
    if "nginx" not in text or not has_any(text, "Ingress", "ConfigMap"):
        return False
    kinds = set(_KIND.findall(text))
    if "Ingress" in kinds and _NGINX_CLASS.search(text) and "nginx.org/" not in text:
        return True
    return bool("ConfigMap" in kinds and _CONTROLLER.search(text) and _KEY.search(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the streaming Ingresses and the controller ConfigMap.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    documents = read_yaml(source)
    found: list[Diagnostic] = []
    routes: list[AssessedRoute] = []
    config_maps = list(find_config_maps(documents.roots))
    for ingress in find_ingresses(documents.roots, settings.hints_for(source.path), source):
        own: list[Diagnostic] = []
        if ingress.assessed.assessment.is_considered:
            problems = find_in_ingress(ingress, config_maps, source, settings)
            own = for_route(ingress.assessed, problems)
        found += own
        version = settings.target("ingress-nginx")
        routes += describe(ingress, config_maps, source, own, version)
    for data in config_maps:
        found += find_in_config_map(data, source, settings)
    return LintResult(tuple(dict.fromkeys(found)), documents.unread, routes=tuple(routes))


DIALECT = Dialect(
    name="ingress-nginx",
    title="ingress-nginx (Kubernetes)",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
