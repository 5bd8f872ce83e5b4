"""Rules for Traefik in Kubernetes, one module per topic.

Each diagnostic is in the linted file: at the middleware or transport if it is defined there, or
    else where a route of this file refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.traefik.routes import Middleware
from undam.lint.dialects.traefik.rules import buffering as file_buffering
from undam.lint.dialects.traefik.rules import compression as file_compression
from undam.lint.dialects.traefik.rules import ineffective as file_ineffective
from undam.lint.dialects.traefik_crd.parser import MiddlewareUse
from undam.lint.dialects.traefik_crd.routes import IngressRouteRule
from undam.lint.dialects.traefik_crd.rules import buffering, compression, ineffective, limits
from undam.lint.kubernetes.cluster import Cluster
from undam.textfiles.source import Source
from undam.textfiles.tree_edit import remove_item

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *compression.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find_in_middleware(
    use: MiddlewareUse, route: IngressRouteRule, source: Source
) -> Iterator[Diagnostic]:
    """Find problems with a middleware that a streaming route uses."""
    middleware, defined_in = use.resource, use.resource.source
    is_here, is_route_here = defined_in is source, route.resource.source is source
    if middleware.spec is None or not (is_here or is_route_here):
        return
    listed = use.listed if is_here and is_route_here else None
    one = Middleware(middleware.name, middleware.spec, listed)
    found = [
        *file_buffering.find(one, defined_in, buffering.BUFFERING),
        *file_compression.find(one, defined_in, compression.COMPRESS),
        *file_ineffective.find_buffer_switch(one, defined_in, ineffective.NO_RESPONSE_BUFFER),
    ]
    for each in found:
        yield each if is_here else _at_reference(each, use, source)


def find_in_transports(route: IngressRouteRule, cluster: Cluster) -> Iterator[Diagnostic]:
    """Find limits on transports in this file that a streaming route uses."""
    yield from limits.find_in_transports(route, cluster)


def _at_reference(one: Diagnostic, use: MiddlewareUse, source: Source) -> Diagnostic:
    """Move a diagnostic about a middleware in another file to its reference in this file."""
    line, column = source.position(use.reference.start)
    length = use.reference.end - use.reference.start
    edit = None
    if use.listed is not None and one.rule is not compression.COMPRESS:
        edit = remove_item(source, *use.listed)
    return replace(
        one,
        path=source.path,
        line=line,
        column=column,
        length=length,
        edits=(edit,) if edit else (),
    )
