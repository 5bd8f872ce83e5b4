"""Description of Envoy as a hop in a request path: timeouts and filters."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.envoy.parser import field_entry, seconds_of
from undam.lint.dialects.envoy.routes import ConnectionManager, EnvoyRoute
from undam.lint.dialects.envoy.rules import buffering, compression
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.PROXY,
    title="Envoy",
    buffering=buffering.RULES,
    compression=compression.RULES,
)
_DEFAULT_TOTAL_S = 15.0
_DEFAULT_IDLE_S = 300.0


def describe(
    manager: ConnectionManager,
    route: EnvoyRoute,
    source: Source,
    found: Iterable[Diagnostic],
    version: Version | None,
) -> AssessedRoute:
    """Return the assessed route with its Envoy hop. The upstream of the hop is the cluster."""
    idle = field_entry(route.action, "idle_timeout")
    idle = idle or field_entry(manager.node, "stream_idle_timeout")
    total = field_entry(route.action, "timeout")
    return _TRAITS.describe(
        route.assessed,
        found,
        version,
        upstreams=route.addresses,
        idle=_limit(idle, source, _DEFAULT_IDLE_S),
        total=_limit(total, source, _DEFAULT_TOTAL_S),
    )


def _limit(entry: Entry | None, source: Source, default_s: float) -> RouteLimit:
    if entry is None:
        return RouteLimit(default_s)
    return limit_at(source, entry.key.start, seconds_of(entry.value))
