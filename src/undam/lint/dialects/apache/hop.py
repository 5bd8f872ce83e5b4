"""Description of httpd as a hop in a request path: worker timeout and buffered responses."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.apache.parser import ApacheConfig
from undam.lint.dialects.apache.routes import ApacheRoute, SectionIndex
from undam.lint.dialects.apache.rules import buffering
from undam.lint.dialects.apache.rules.limits import limit_in_force
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import (
    UNKNOWN_LIMIT,
    ProgramTraits,
    RouteLimit,
    diagnostics_by_route,
    limit_at,
)
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(tier=Tier.PROXY, title="Apache httpd", buffering=buffering.RULES)


def describe_all(
    config: ApacheConfig,
    routes: Iterable[tuple[ApacheRoute, AssessedRoute]],
    found: Iterable[Diagnostic],
    version: Version | None,
) -> list[AssessedRoute]:
    """Return the assessed routes, each extended with its httpd hop."""
    sections = SectionIndex(config)
    grouped = diagnostics_by_route(found)
    described = []
    for route, assessed in routes:
        limits = [limit_in_force(route, worker, sections) for worker in route.workers[:1]]
        idle = UNKNOWN_LIMIT
        for limit in limits:
            if limit is not None:
                idle = RouteLimit(limit.seconds)
                if not limit.is_default:
                    idle = limit_at(limit.line.source, limit.span[0], limit.seconds)
        own = grouped.get(id(assessed), [])
        described.append(_TRAITS.describe(assessed, own, version, idle=idle))
    return described
