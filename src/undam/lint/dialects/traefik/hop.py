"""Description of Traefik as a hop in a request path: `writeTimeout`, buffering and compression."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.traefik.parser import at, entry_at, seconds_of
from undam.lint.dialects.traefik.routes import TraefikConfig, TraefikRouter
from undam.lint.dialects.traefik.rules import buffering, compression
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import NO_LIMIT, ProgramTraits, limit_at
from undam.lint.routes import AssessedRoute
from undam.textfiles.source import Source
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.PROXY,
    title="Traefik",
    buffering=buffering.RULES,
    compression=compression.RULES,
)


def describe(
    config: TraefikConfig,
    router: TraefikRouter,
    source: Source,
    found: Iterable[Diagnostic],
    version: Version | None,
) -> AssessedRoute:
    """Return the assessed route of a router with its hop. Traefik has no idle timeout.

    The entry points may be in another file than the router; the total limit is then the default,
    which is none.
    """
    total = NO_LIMIT
    ports = []
    for point in config.entry_points_of(router):
        address = at(point.value, "address")
        ports += [f":{address.text.rpartition(':')[2]}"] if address else []
        limit = entry_at(at(point.value, "transport", "respondingtimeouts"), "writetimeout")
        if limit is not None:
            total = limit_at(source, limit.key.start, seconds_of(limit.value))
    return _TRAITS.describe(router.assessed, found, version, names=ports, total=total)
