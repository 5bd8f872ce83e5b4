"""Description of lighttpd as a hop in a request path: `max-write-idle` and buffering."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.lighttpd.parser import LighttpdConfig, number_or_default
from undam.lint.dialects.lighttpd.routes import LighttpdRoute, effective
from undam.lint.dialects.lighttpd.rules import buffering
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(tier=Tier.PROXY, title="lighttpd", buffering=buffering.RULES)
_DEFAULT_S = 360.0


def describe(
    config: LighttpdConfig,
    route: LighttpdRoute,
    found: Iterable[Diagnostic],
    version: Version | None,
) -> AssessedRoute:
    """Return the assessed route, extended with its lighttpd hop."""
    current = effective(config, "server.max-write-idle", route.relay)
    idle = RouteLimit(_DEFAULT_S)
    if current is not None:
        idle = limit_at(current.source, current.span[0], number_or_default(current))
    return _TRAITS.describe(route.assessed, found, version, idle=idle)
