"""Description of Traffic Server as a hop in a request path. Its limits are in records files."""

from __future__ import annotations

from collections.abc import Iterable

from undam.lint.diagnostics import Diagnostic
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.program_traits import NO_LIMIT, UNKNOWN_LIMIT, ProgramTraits
from undam.lint.routes import AssessedRoute
from undam.versions import Version

_TRAITS = ProgramTraits(tier=Tier.PROXY, title="Traffic Server")


def describe(
    route: AssessedRoute, found: Iterable[Diagnostic], version: Version | None
) -> AssessedRoute:
    """Return the assessed route, extended with its Traffic Server hop."""
    return _TRAITS.describe(route, found, version, idle=UNKNOWN_LIMIT, total=NO_LIMIT)
