"""The rules of httpd, one module per topic with the functions that find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.apache.parser import ApacheConfig
from undam.lint.dialects.apache.routes import ApacheRoute, SectionIndex
from undam.lint.dialects.apache.rules import buffering, caching, ineffective, limits, protocol
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *caching.RULES,
    *protocol.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(
    config: ApacheConfig, routes: Iterable[ApacheRoute], settings: Settings
) -> Iterator[Diagnostic]:
    """Find all problems of the streaming routes.

    Many routes can share the sections around them and the workers of a balancer. Each of these is
    checked once, so that the work stays linear in the size of the configuration.
    """
    sections = SectionIndex(config)
    external = buffering.external_filters(config)
    checked_sections: set[tuple[int, ...]] = set()
    checked_workers: set[int] = set()
    for route in routes:
        scopes = sections.around(route)
        around = tuple(id(scope) for scope in scopes)
        if around not in checked_sections:
            checked_sections.add(around)
            yield from buffering.find_filters(scopes, external)
            yield from ineffective.find_headers(scopes)
        yield from caching.find(route, scopes)
        for worker in route.workers:
            if id(worker) not in checked_workers:
                checked_workers.add(id(worker))
                yield from buffering.find_unflushed(route, worker, sections)
                yield from ineffective.find_flush_parameters(worker)
                yield from limits.find(route, worker, sections, settings.heartbeat_s)
        if any(worker.is_http for worker in route.workers[:1]):
            yield from protocol.find(scopes)
