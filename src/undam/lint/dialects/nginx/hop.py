"""Description of nginx as a hop in a request path: read timeout, buffering and gzip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.nginx.routes import NginxRoute
from undam.lint.dialects.nginx.rules import buffering
from undam.lint.dialects.nginx.times import seconds_of
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.PROXY,
    title="nginx",
    buffering=(
        buffering.BUFFERING_ON,
        buffering.GATEWAY,
        buffering.GZIP,
    ),
    compression=(buffering.GZIP,),
)
# A limit of 0 cuts every response at once. In a hop, 0 means that there is no limit.
_SHORTEST_S = 0.001
_PORT = re.compile(r"(?:.*:)?(\d{1,5})")


def describe(
    route: NginxRoute, found: Iterable[Diagnostic], version: Version | None
) -> AssessedRoute:
    """Return the assessed route, extended with its nginx hop."""
    name = f"{route.protocol}_read_timeout"
    configured = route.scope.in_force(name)
    limit = seconds_of(route.scope.value(name, "60s"))
    if limit == 0:
        limit = _SHORTEST_S
    idle = RouteLimit(limit)
    if configured:
        idle = limit_at(configured[-1].source, configured[-1].start, limit)
    return _TRAITS.describe(
        route.assessed,
        found,
        version,
        names=_names(route),
        upstreams=route.upstreams,
        idle=idle,
    )


def _names(route: NginxRoute) -> Iterator[str]:
    for scope in route.scope.ancestors():
        for one in scope.own("server_name"):
            yield from (arg for arg in one.args if arg != "_")
        for one in scope.own("listen"):
            port = _PORT.fullmatch(one.value)
            if port is not None:
                yield f":{port[1]}"
