"""Rules for httpd and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, for_route
from undam.lint.dialects.apache.parser import ApacheConfig
from undam.lint.dialects.apache.routes import ApacheRoute, SectionIndex
from undam.lint.dialects.apache.rules import buffering, caching, ineffective, limits, protocol
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *caching.RULES,
    *protocol.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find(
    config: ApacheConfig, routes: Iterable[tuple[ApacheRoute, AssessedRoute]], settings: Settings
) -> Iterator[Diagnostic]:
    """Find all problems with the routes that stream or may stream.

    Many routes can share the sections around them and the workers of a balancer. Each of these is
    checked once, for the route with the most certain outcome, so that the work stays linear in the
    size of the configuration.
    """
    rules = _RouteRules(config, settings)
    considered = [one for one in routes if one[1].assessment.is_considered]
    for route, assessed in sorted(considered, key=lambda one: -one[1].outcome):
        yield from for_route(assessed, rules.find(route))


class _RouteRules:
    """Checker that reports the problems in a section or worker once, even if routes share it."""

    def __init__(self, config: ApacheConfig, settings: Settings) -> None:
        self._silence = settings.silence
        self._sections = SectionIndex(config)
        self._external = buffering.external_filters(config)
        self._checked_sections: set[tuple[int, ...]] = set()
        self._checked_workers: set[int] = set()

    def find(self, route: ApacheRoute) -> Iterator[Diagnostic]:
        """Find the problems on a route that were not already found on an earlier route."""
        scopes = self._sections.around(route)
        around = tuple(id(scope) for scope in scopes)
        if around not in self._checked_sections:
            self._checked_sections.add(around)
            yield from buffering.find_filters(scopes, self._external)
            yield from ineffective.find_headers(scopes)
        yield from caching.find(route, scopes)
        for worker in route.workers:
            if id(worker) not in self._checked_workers:
                self._checked_workers.add(id(worker))
                yield from buffering.find_unflushed(route, worker, self._sections)
                yield from ineffective.find_flush_parameters(worker)
                yield from limits.find(route, worker, self._sections, self._silence)
        if any(worker.is_http for worker in route.workers[:1]):
            yield from protocol.find(scopes)
