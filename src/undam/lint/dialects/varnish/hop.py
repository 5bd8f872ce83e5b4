"""Description of Varnish as a hop in a request path: backend timeouts and buffering."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.varnish.parser import VclFile
from undam.lint.dialects.varnish.rules import buffering
from undam.lint.dialects.varnish.rules.limits import duration_s
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.PROXY,
    title="Varnish",
    buffering=(buffering.NO_STREAM, buffering.ESI),
    compression=(buffering.GZIP,),
)
_DEFAULT_S = 60.0


def describe(
    vcl: VclFile, traffic: AssessedRoute, found: Iterable[Diagnostic], version: Version | None
) -> AssessedRoute:
    """Return the route for all traffic, extended with its Varnish hop."""
    idle = RouteLimit(_DEFAULT_S)
    hosts = []
    for backend in vcl.backends:
        hosts += [one.text for name in (".host",) if (one := backend.attributes.get(name))]
        token = backend.attributes.get(".between_bytes_timeout")
        if token is not None:
            idle = limit_at(backend.source, token.start, duration_s(token.text))
    return _TRAITS.describe(traffic, found, version, upstreams=hosts, idle=idle)
