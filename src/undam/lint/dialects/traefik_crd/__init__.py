"""The Traefik CRD dialect: IngressRoutes, middlewares, transports and Deployment arguments."""

from __future__ import annotations

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.traefik_crd.parser import MIDDLEWARES, WRITE_TIMEOUT
from undam.lint.dialects.traefik_crd.render import render
from undam.lint.dialects.traefik_crd.routes import find_routes
from undam.lint.dialects.traefik_crd.rules import (
    RULES,
    find_in_middleware,
    find_in_transports,
    limits,
)
from undam.lint.kubernetes.cluster import read_cluster
from undam.lint.kubernetes.resources import has_kubernetes_name, kinds_in
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_KINDS = frozenset({"IngressRoute", "Middleware", "ServersTransport"})


def recognises(path: str, text: str) -> bool:
    """Return whether a manifest has a Traefik resource, or a Traefik Deployment with a limit."""
    if not has_kubernetes_name(path):
        return False
    if has_any(text, "traefik.io", "traefik.containo.us") and _KINDS & kinds_in(text):
        return True
    if MIDDLEWARES in text and "Ingress" in kinds_in(text):
        return True
    is_workload = bool(kinds_in(text) & {"Deployment", "DaemonSet"})
    return is_workload and "traefik" in text and WRITE_TIMEOUT.search(text) is not None


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the routes that stream, and the related Traefik resources in the same file.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    cluster = read_cluster(source, settings)
    own = find_routes(cluster, cluster.own)
    routes = [*own, *find_routes(cluster, cluster.beside)]
    found: list[Diagnostic] = []
    for route in routes:
        if route.assessed.assessment.is_considered:
            problems = [
                *(
                    one
                    for use in route.middlewares
                    for one in find_in_middleware(use, route, source)
                ),
                *find_in_transports(route, cluster),
            ]
            found += for_route(route.assessed, problems)
    found += limits.find_in_arguments(routes, cluster)
    return LintResult(
        unique_diagnostics(found), cluster.unread, routes=tuple(one.assessed for one in own)
    )


DIALECT = Dialect(
    name="traefik-crd",
    title="Traefik (Kubernetes)",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
