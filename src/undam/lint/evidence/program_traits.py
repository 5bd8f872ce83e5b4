"""Hop descriptions for the routes of a program, from which a project's chains are built."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.evidence.assessment import AssessedRoute
from undam.lint.evidence.hop import Hop, Tier, limit_s
from undam.textfiles.source import Source
from undam.versions import EVERY_VERSION, Version


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """Idle timeout, or limit on the duration of a response.

    Args:
        seconds: ``inf`` if there is no limit; ``None`` if it is not known.
        at: path and line where it is configured; ``None`` if it is the default of the program.
    """

    seconds: float | None
    at: tuple[str, int] | None = None


def limit_at(source: Source, offset: int, seconds: float | None) -> RouteLimit:
    """Return a limit whose setting is at ``offset`` in a text."""
    return RouteLimit(seconds, (source.path, source.position(offset)[0]))


NO_LIMIT = RouteLimit(math.inf)
UNKNOWN_LIMIT = RouteLimit(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTraits:
    """Properties that all routes of a program share.

    Args:
        buffering: rules that report that the program holds events back.
        compression: rules that report that it compresses streams.
    """

    tier: Tier
    title: str
    buffering: tuple[ConfigRule, ...] = ()
    compression: tuple[ConfigRule, ...] = ()

    def describe(  # noqa: PLR0913 (each is a property of the hop)
        self,
        route: AssessedRoute,
        found: Iterable[Diagnostic],
        version: Version | None = None,
        *,
        names: Iterable[str] = (),
        upstreams: Iterable[str] = (),
        idle: RouteLimit = NO_LIMIT,
        total: RouteLimit = NO_LIMIT,
    ) -> AssessedRoute:
        """Return the route with its hop. Routes to which no rules apply get no hop.

        Args:
            found: the diagnostics of the route.
            version: the version of the program; ``None`` if it is not known.
            upstreams: the servers behind the route, if its ``upstream`` is not all of them.
            idle, total: idle timeout, and limit on the whole response.
        """
        if not route.assessment.is_considered:
            return route
        known = list(found)
        hop = Hop(
            self.tier,
            self.title,
            route.path,
            route.line,
            tuple(dict.fromkeys(name for name in names if name)),
            tuple(dict.fromkeys(one for one in (*upstreams, route.upstream) if one)),
            idle_limit_s=limit_s(idle.seconds),
            total_limit_s=limit_s(total.seconds),
            buffers=_holds(self.buffering, known, version),
            compresses=_holds(self.compression, known, version),
            idle_at=idle.at,
            total_at=total.at,
        )
        return replace(route, hop=hop)


def diagnostics_by_route(found: Iterable[Diagnostic]) -> dict[int, list[Diagnostic]]:
    """Group diagnostics by the ``id`` of their route, so that each is visited only once."""
    grouped: dict[int, list[Diagnostic]] = {}
    for one in found:
        grouped.setdefault(id(one.route), []).append(one)
    return grouped


def _holds(
    rules: tuple[ConfigRule, ...], found: list[Diagnostic], version: Version | None
) -> bool | None:
    """Return whether one of the rules fired; ``None`` if that depends on an unknown version."""
    codes = {one.code for one in rules}
    ranges = [one.affected for one in found if one.rule.code in codes]
    if any(one == EVERY_VERSION or (version and one.contains(version)) for one in ranges):
        return True
    return None if version is None and ranges else False
