"""Description of Caddy as a hop in a request path: timeouts, buffering and compression."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.caddy.parser import CaddyDirective, duration_s
from undam.lint.dialects.caddy.routes import CaddyConfig, CaddyRoute
from undam.lint.dialects.caddy.rules import buffering, compression
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import NO_LIMIT, ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.PROXY,
    title="Caddy",
    buffering=buffering.RULES,
    compression=compression.RULES,
)


def describe(
    config: CaddyConfig, route: CaddyRoute, found: Iterable[Diagnostic], version: Version | None
) -> AssessedRoute:
    """Return the assessed route, extended with its Caddy hop."""
    idle = total = NO_LIMIT
    for transport in route.relay.inside("transport"):
        for option in transport.inside("read_timeout"):
            idle = _limit(option)
    for servers in config.globals:
        for timeouts in servers.inside("timeouts") if servers.name == "servers" else ():
            for option in timeouts.inside("write"):
                total = _limit(option)
    return _TRAITS.describe(
        route.assessed,
        found,
        version,
        names=route.names,
        upstreams=route.upstreams,
        idle=idle,
        total=total,
    )


def _limit(option: CaddyDirective) -> RouteLimit:
    return limit_at(option.source, option.start, duration_s("".join(option.texts[:1])))
