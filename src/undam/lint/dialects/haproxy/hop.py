"""Description of HAProxy as a hop in a request path: `timeout server`, delays and compression."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.haproxy.parser import seconds_in
from undam.lint.dialects.haproxy.routes import HaproxyRoute
from undam.lint.dialects.haproxy.rules import buffering, compression
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import NO_LIMIT, ProgramTraits, limit_at
from undam.lint.routes import AssessedRoute
from undam.textfiles.source import Source
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.PROXY,
    title="HAProxy",
    buffering=buffering.RULES,
    compression=compression.RULES,
)


def describe(
    route: HaproxyRoute, source: Source, found: Iterable[Diagnostic], version: Version | None
) -> AssessedRoute:
    """Return the assessed route, extended with its HAProxy hop."""
    server = route.back.nearest("timeout", "server")
    idle = NO_LIMIT
    if server is not None:
        idle = limit_at(source, server.start, seconds_in(server, 2))
    addresses = [one.texts[2] for one in route.back.own("server") if len(one.texts) > 2]
    ports = [
        f":{one.texts[1].rpartition(':')[2]}"
        for side in route.sides
        for one in side.own("bind")
        if len(one.texts) > 1
    ]
    return _TRAITS.describe(
        route.assessed, found, version, names=ports, upstreams=addresses, idle=idle
    )
