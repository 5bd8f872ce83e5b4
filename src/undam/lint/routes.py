"""Assessment of whether routes carry event streams. Buffering harms only those that do.

Dialects call `assess_route` with the paths and upstreams of a route. The evidence, with the scores
of its kinds, is in `undam.lint.evidence`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import PurePosixPath

from undam.lint.evidence.assessment import (
    UNKNOWN,
    AssessedRoute,
    Assessment,
    RouteOutcome,
    strongest,
)
from undam.lint.evidence.names import NameEvidence, address_of, site_evidence, upstream_evidence
from undam.lint.evidence.neighbours import NO_NEIGHBOURS, Neighbours, ServiceWitness
from undam.lint.evidence.paths import DECISIVE, EXCLUDED, SUFFICIENT, PathEvidence, path_evidence

__all__ = [
    "UNKNOWN",
    "AssessedRoute",
    "Assessment",
    "PathMatch",
    "Recipe",
    "RouteHints",
    "RouteOutcome",
    "assess_pattern",
    "assess_route",
    "literal_prefix",
    "strongest",
]

_NOT_PATH = re.compile(r"[^\w/.-]+")
_LITERAL_PREFIX = re.compile(r"\^?((?:\\?[/._-]|\w)*)")
# Shorter fragments occur in too many paths to identify a particular route.
_MIN_FRAGMENT = 3
# Host names that may refer to any service on the machine.
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal"})
_ANY_PATH = frozenset({"", "/", "/*", "*", "^/", "^", ".*", "^/(.*)", "^(.*)", "^/(.*)$"})
# Suffixes of configurations and templates, which are not part of the site's name.
_FILE_ENDINGS = re.compile(
    r"(?:\.(?:conf|cfg|template|tmpl|tpl|j2|jinja2?|erb|inc|example|ya?ml|toml))+$"
)
_PLAIN_FILES = frozenset({"nginx", "default", "site", "httpd", "apache2", "haproxy", "caddyfile"})


class PathMatch(StrEnum):
    """Part of a path with which a route pattern is compared."""

    PREFIX = "prefix"
    """The beginning of the path or the whole path."""
    PART = "part"
    """Any part of the path."""
    REGEX = "regex"


class Recipe(Enum):
    """A setting that authors usually write for event streams, with its score and a phrase."""

    EVENT_STREAM = (3, "text/event-stream is named")
    ACCEL_BUFFERING = (3, "X-Accel-Buffering is set")
    UNBUFFERED = (2, "buffering is off")
    FLUSHED = (2, "each write is flushed")
    CHUNKS_OFF = (1, "chunked_transfer_encoding is off")
    LONG_SILENCE = (1, "the read timeout is long")
    UPGRADE = (0, "connections are upgraded to WebSocket")
    """Explains buffering that is off without a stream."""


@dataclass(frozen=True, slots=True)
class RouteHints:
    """Information about routes from outside their configuration.

    Args:
        paths: prefixes of the routes that stream (``--stream PREFIX``). If any are given, all other
            routes are assumed not to stream.
        file: path of the configuration, whose name may be that of an application.
        neighbours: evidence in the files beside it.
    """

    paths: tuple[str, ...] = ()
    file: str = ""
    neighbours: Neighbours = NO_NEIGHBOURS


def assess_route(
    path: str,
    upstreams: Iterable[str],
    hints: RouteHints,
    *,
    sites: Iterable[str] = (),
    recipes: Iterable[Recipe] = (),
) -> Assessment:
    """Assess whether a route streams, from its path, servers, sites and settings.

    Args:
        path: prefix or pattern of the route as configured; "/" for all requests.
        upstreams: URLs, names and addresses of the servers behind it.
        sites: host names under which the route is served.
        recipes: settings in force that authors write for event streams.
    """
    if hints.paths:
        covered = any(_overlap(path, hint) for hint in hints.paths)
        return _stated() if covered else UNKNOWN
    return _combined(
        path_evidence(path), path, tuple(upstreams), hints, (tuple(sites), tuple(recipes))
    )


def assess_pattern(
    pattern: str,
    match: PathMatch,
    upstreams: Iterable[str],
    hints: RouteHints,
    *,
    sites: Iterable[str] = (),
    recipes: Iterable[Recipe] = (),
) -> Assessment:
    """Assess whether a route with a pattern streams. Regular expressions are never executed.

    Args:
        pattern: prefix, part or regular expression, depending on ``match``.
        upstreams, sites, recipes: as for `assess_route`.
    """
    if match is PathMatch.PREFIX or not hints.paths:
        return assess_route(pattern, upstreams, hints, sites=sites, recipes=recipes)
    if match is PathMatch.REGEX and pattern.startswith("^"):
        return assess_route(literal_prefix(pattern), upstreams, hints)
    parts = (part.strip("/") for part in _NOT_PATH.split(pattern))
    fragments = [part for part in parts if len(part.strip("/.")) >= _MIN_FRAGMENT]
    hinted = any(fragment in hint for fragment in fragments for hint in hints.paths)
    return _stated() if hinted else UNKNOWN


def literal_prefix(regex: str) -> str:
    """Return the literal beginning of all paths that an anchored expression matches; else "/"."""
    match = _LITERAL_PREFIX.match(regex)
    assert match is not None  # the expression also matches the empty string
    literal = match[1].replace("\\", "")
    if regex[match.end() :].startswith(("*", "?", "{")):
        literal = literal[:-1]  # the last character is optional
    return literal or "/"


def _stated() -> Assessment:
    return Assessment(RouteOutcome.STREAMS, ("--stream or the setting `stream` names it",))


def _combined(
    own: PathEvidence,
    path: str,
    upstreams: tuple[str, ...],
    hints: RouteHints,
    around: tuple[tuple[str, ...], tuple[Recipe, ...]],
) -> Assessment:
    """Add up all scores. A decisive path counts even if the server seems to be another program."""
    if own.score == EXCLUDED:
        return Assessment(RouteOutcome.UNKNOWN, (own.phrase,))
    sites, recipes = around
    neighbouring = _neighbouring(upstreams, hints.neighbours)
    named = _best(map(upstream_evidence, upstreams))
    if neighbouring.score > 0 > named.score:
        named = NameEvidence(0)  # the image is stronger evidence than the service's name
    found = [NameEvidence(own.score, own.phrase), named, neighbouring]
    found.append(_best(_paths_of_upstreams(upstreams)))
    found += _site(path, sites, hints.file)
    found += [NameEvidence(*one.value) for one in _counting(recipes)]
    positive = [one for one in found if one.score > 0]
    is_other = named.score < 0
    is_ambiguous = own.score == 2 and len(positive) == 1 and not is_other
    score = sum(one.score for one in found) + is_ambiguous
    if own.score >= DECISIVE or score >= SUFFICIENT:
        outcome = RouteOutcome.STREAMS
    else:
        outcome = RouteOutcome.MAYBE if score > 0 else RouteOutcome.UNKNOWN
    return Assessment(outcome, tuple(one.phrase for one in positive if one.phrase))


def _counting(recipes: tuple[Recipe, ...]) -> Iterable[Recipe]:
    """Return the distinct recipes, without disabled buffering if there is a WebSocket upgrade."""
    is_upgraded = Recipe.UPGRADE in recipes
    return (one for one in dict.fromkeys(recipes) if not (is_upgraded and one is Recipe.UNBUFFERED))


def _best(found: Iterable[NameEvidence]) -> NameEvidence:
    """Return the strongest evidence for a stream or, if there is none, the strongest against it."""
    known = list(found)
    best = max(known, key=lambda one: one.score, default=NameEvidence(0))
    return best if best.score > 0 else min(known, key=lambda one: one.score, default=best)


def _paths_of_upstreams(upstreams: tuple[str, ...]) -> Iterable[NameEvidence]:
    for one in upstreams:
        path = address_of(one).path
        if path.strip("/"):
            evidence = path_evidence(path)
            if evidence.score > 0:
                yield NameEvidence(min(evidence.score, SUFFICIENT), f"upstream: {evidence.phrase}")


def _neighbouring(upstreams: tuple[str, ...], neighbours: Neighbours) -> NameEvidence:
    for one in upstreams:
        at = address_of(one)
        witness = neighbours.services.get(at.host)
        if witness is None and at.host in _THIS_MACHINE and at.port is not None:
            witness = neighbours.published.get(at.port)
        if witness is not None and witness.profile is not None:
            return NameEvidence(SUFFICIENT, _witness_phrase(witness))
        if witness is not None and not witness.image and neighbours.programs:
            built = f"{neighbours.programs[0]}: the service {witness.name} may run this program"
            return NameEvidence(2, f"{built}, which streams")
    return NameEvidence(0)


def _witness_phrase(witness: ServiceWitness) -> str:
    assert witness.profile is not None
    runs = f"runs {witness.image}" if witness.image else f"has the name of {witness.profile.title}"
    return f"{witness.path}: the service {witness.name} {runs}"


def _site(path: str, sites: tuple[str, ...], file: str) -> Iterable[NameEvidence]:
    """Yield the evidence from the site names and the file name.

    A file may have routes to several programs, so its name counts only for general paths.
    """
    yield _best(site_evidence("server name", one) for one in sites)
    name = _FILE_ENDINGS.sub("", PurePosixPath(file.replace("\\", "/")).name.lower())
    is_general = path in _ANY_PATH or path.strip("/*") in {"api", "v1", "api/v1"}
    if name and name not in _PLAIN_FILES and is_general:
        yield site_evidence("file name", name)


def _overlap(path: str, hint: str) -> bool:
    """Return whether one of the two prefixes contains the other."""
    route, wanted = path.rstrip("*/") + "/", hint.rstrip("*/") + "/"
    return wanted.startswith(route) or route.startswith(wanted)
