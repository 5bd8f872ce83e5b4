"""Description of Squid as a hop in a request path: `read_timeout` and `client_lifetime`."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.squid.parser import SquidConfig
from undam.lint.dialects.squid.rules.limits import seconds_of
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(tier=Tier.PROXY, title="Squid")
_DEFAULT_IDLE_S = 900.0
_DEFAULT_TOTAL_S = 86400.0


def describe(
    config: SquidConfig,
    traffic: AssessedRoute,
    found: Iterable[Diagnostic],
    version: Version | None,
) -> AssessedRoute:
    """Return the route for all traffic, extended with its Squid hop."""
    return _TRAITS.describe(
        traffic,
        found,
        version,
        idle=_limit(config, "read_timeout", _DEFAULT_IDLE_S),
        total=_limit(config, "client_lifetime", _DEFAULT_TOTAL_S),
    )


def _limit(config: SquidConfig, name: str, default_s: float) -> RouteLimit:
    line = config.last(name)
    if line is None:
        return RouteLimit(default_s)
    return limit_at(line.source, line.span[0], seconds_of(line))
