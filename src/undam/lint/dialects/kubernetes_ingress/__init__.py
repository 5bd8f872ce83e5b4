"""The Kubernetes ingress dialect: controllers other than ingress-nginx and Traefik."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.kubernetes_ingress.parser import CONTROLLERS
from undam.lint.dialects.kubernetes_ingress.render import render
from undam.lint.dialects.kubernetes_ingress.routes import (
    backend_config_users,
    find_routes,
    kong_routes,
)
from undam.lint.dialects.kubernetes_ingress.rules import RULES, find_in_route, limits
from undam.lint.kubernetes.cluster import Cluster, read_cluster
from undam.lint.kubernetes.resources import Resource, has_kubernetes_name, kinds_in
from undam.lint.routes import AssessedRoute, assess_route
from undam.lint.settings import Settings
from undam.textfiles.source import Source
from undam.textfiles.yaml_reader import read_yaml

_PREFIXES = tuple(prefix for one in CONTROLLERS for prefix in one.prefixes)
_CLASS = re.compile(
    r"ingress\.?class(?:Name)?[\"']?:[ \t]*[\"']?"
    r"(?:alb|gce|kong|apisix|haproxy|contour|openshift|azure|nginx-plus|f5-nginx|nginx-inc)",
    re.IGNORECASE,
)
_KINDS = {
    "BackendConfig": "cloud.google.com",
    "HTTPProxy": "projectcontour.io",
    "VirtualServer": "k8s.nginx.org",
    "VirtualServerRoute": "k8s.nginx.org",
    "ApisixRoute": "apisix.apache.org",
    "Mapping": "getambassador.io",
    "Route": "route.openshift.io",
    "KongPlugin": "konghq.com",
    "KongClusterPlugin": "konghq.com",
    "KongIngress": "konghq.com",
}
_KONG = re.compile(r"^_format_version[ \t]*:", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a manifest contains an Ingress or another resource of a known controller."""
    if not has_kubernetes_name(path):
        return False
    if "_format_version" in text and _KONG.search(text):
        return True
    kinds = kinds_in(text)
    if "Ingress" in kinds and (has_any(text, *_PREFIXES) or _CLASS.search(text)):
        return True
    return any(kind in kinds and group in text for kind, group in _KINDS.items())


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the routes that stream, and the resources that affect them.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    cluster = read_cluster(source, settings)
    routes = list(find_routes(cluster, cluster.own))
    if _KONG.search(source.text):
        for root in read_yaml(source).roots:
            routes += kong_routes(root, cluster)
    found: list[Diagnostic] = []
    for one in routes:
        if one.assessed.assessment.is_considered:
            found += for_route(one.assessed, find_in_route(one, cluster))
    for resource in cluster.own:
        problems = list(limits.find_in_resource(resource, cluster))
        if problems:
            affected = _affected(resource, cluster)
            if affected is None:
                found += map(if_anything_streams, problems)
            elif affected.assessment.is_considered:
                found += for_route(affected, problems)
    return LintResult(
        unique_diagnostics(found), cluster.unread, routes=tuple(one.assessed for one in routes)
    )


def _affected(resource: Resource, cluster: Cluster) -> AssessedRoute | None:
    """Assess the Services that use a resource; return ``None`` if nothing is known about them."""
    users = backend_config_users(resource, cluster)
    names = users or [resource.name]
    assessment = assess_route("/", names, cluster.hints, sites=[resource.name])
    if not users and not assessment.is_considered:
        return None
    return AssessedRoute(cluster.source.path, resource.line, "/", names[0], assessment)


DIALECT = Dialect(
    name="kubernetes-ingress",
    title="Kubernetes ingress controllers",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
