"""Description of ingress-nginx as a hop in a request path: read timeout, buffering and gzip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.ingress_nginx.parser import StringMap
from undam.lint.dialects.ingress_nginx.routes import Ingress
from undam.lint.dialects.ingress_nginx.rules import buffering
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import ProgramTraits, RouteLimit, limit_at
from undam.lint.routes import AssessedRoute
from undam.textfiles.source import Source
from undam.versions import Version

_TRAITS = ProgramTraits(
    tier=Tier.INGRESS,
    title="ingress-nginx",
    buffering=(buffering.BUFFERING_ON,),
    compression=(buffering.GZIP,),
)
_KEY = "proxy-read-timeout"
_DEFAULT_S = 60.0


def describe(
    ingress: Ingress,
    config_maps: Iterable[StringMap],
    source: Source,
    found: Iterable[Diagnostic],
    version: Version | None,
) -> Iterator[AssessedRoute]:
    """Yield the assessed routes of an Ingress, each with its hop."""
    diagnostics = list(found)
    idle = RouteLimit(_DEFAULT_S)
    maps = [one for one in (ingress.annotations, *config_maps) if one is not None]
    for values in reversed(maps):
        entry = values.entry(_KEY)
        if entry is not None:
            text = entry.value.text.strip()
            # In nginx, a limit of 0 cuts every response at once; in a hop, 0 means no limit.
            seconds = (float(text) or 0.001) if re.fullmatch(r"\d{1,9}", text) else None
            idle = limit_at(source, entry.key.start, seconds)
    for route in (ingress.assessed, *ingress.others):
        yield _TRAITS.describe(route, diagnostics, version, names=ingress.hosts, idle=idle)
