"""Assessment of whether a route streams, with the evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from undam.lint.evidence.hop import Hop


class RouteOutcome(IntEnum):
    """Certainty that a route carries event streams, in ascending order."""

    UNKNOWN = 0
    """Nothing suggests a stream, or something excludes it. Nothing is reported for the route."""
    MAYBE = 1
    """There is some evidence. Findings become one remark for the route."""
    STREAMS = 2
    """The evidence suffices. Findings have the severity of their rule."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Result of assessing one route.

    Args:
        evidence: the observations that led to the outcome, each a phrase.
    """

    outcome: RouteOutcome
    evidence: tuple[str, ...] = ()

    @property
    def is_considered(self) -> bool:
        """True if rules are applied to the route."""
        return self.outcome is not RouteOutcome.UNKNOWN


UNKNOWN = Assessment(RouteOutcome.UNKNOWN)


def strongest(assessments: Iterable[Assessment]) -> Assessment:
    """Return the first assessment with the highest outcome; ``UNKNOWN`` if there are none."""
    return max(assessments, key=lambda one: one.outcome, default=UNKNOWN)


@dataclass(frozen=True, slots=True)
class AssessedRoute:
    """A route of a configuration and its outcome, as listed in reports.

    Args:
        path: the file.
        line: where the route is defined.
        name: path prefix or pattern of its requests.
        upstream: where the requests go, as configured; empty if that is not known.
        hint: the value of ``--stream`` that selects the route.
        hop: description of the program for the chain; ``None`` if its dialect gives none.
    """

    path: str
    line: int
    name: str
    upstream: str
    assessment: Assessment
    hint: str = "/"
    hop: Hop | None = None

    @property
    def outcome(self) -> RouteOutcome:
        return self.assessment.outcome
