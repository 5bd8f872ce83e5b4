"""Frontend and backend pairs that carry streams, based on the conditions of `use_backend`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.haproxy.parser import HaproxyConfig, HaproxySection
from undam.lint.routes import (
    AssessedRoute,
    Assessment,
    PathMatch,
    Recipe,
    RouteHints,
    RouteOutcome,
    assess_pattern,
    strongest,
)
from undam.textfiles.source import Source, UnreadPart

EVENT_STREAM = "text/event-stream"

# Sample fetches for paths, as name prefixes, and match methods (configuration manual, section
# 7.3.6).
_PATH_FETCHES = ("path", "url", "base", "capture.req.uri", "pathq")
_MATCHES = {
    "reg": PathMatch.REGEX,
    "sub": PathMatch.PART,
    "dir": PathMatch.PART,
    "end": PathMatch.PART,
}


# By default, HAProxy rejects lines with more words than this.
_MAX_WORDS = 64

Acls = dict[str, list[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class PathCondition:
    """The requirements that a condition places on the request path and the response type.

    Args:
        paths: patterns, one of which must match; empty means any path.
        events: the condition requires that text/event-stream is named.
        no_events: the condition excludes text/event-stream.
    """

    paths: tuple[tuple[str, PathMatch], ...] = ()
    events: bool = False
    no_events: bool = False


@dataclass(frozen=True, slots=True)
class HaproxyRoute:
    """A frontend together with a backend that it sends requests to.

    Args:
        front: the frontend; the same section as ``back`` for `listen`, and ``None`` if no frontend
            of this file uses the backend.
        assessed: the route with its outcome.
    """

    front: HaproxySection | None
    back: HaproxySection
    assessed: AssessedRoute

    @property
    def sides(self) -> tuple[HaproxySection, ...]:
        """The sections that a response passes through, in order: backend, then frontend."""
        if self.front is None or self.front is self.back:
            return (self.back,)
        return (self.back, self.front)


def acls_of(section: HaproxySection) -> Acls:
    """Return the tests of all ACLs that a section can use, keyed by ACL name."""
    acls: Acls = {}
    for line in section.inherited("acl"):
        acls.setdefault("".join(line.texts[1:2]), []).append(line.texts[2:])
    return acls


def read_condition(words: tuple[str, ...], acls: Acls) -> PathCondition:
    """Parse a condition that starts with ``if`` or ``unless``; an empty one is always true."""
    if not words or words[0] not in {"if", "unless"}:
        return PathCondition()
    paths: list[tuple[str, PathMatch]] = []
    events = no_events = False
    for is_negated, terms in _terms(words[1:_MAX_WORDS], acls):
        negated = is_negated is not (words[0] == "unless")
        names_events = any(EVENT_STREAM in word for term in terms for word in term)
        events |= names_events and not negated
        no_events |= names_events and negated
        if not negated:
            paths += _path_patterns(terms)
    return PathCondition(tuple(paths), events, no_events)


def find_routes(config: HaproxyConfig, hints: RouteHints, source: Source) -> list[HaproxyRoute]:
    """Return all HTTP routes, streaming or not."""
    backends = {one.name: one for one in config.proxies("backend", "listen")}
    routes: list[HaproxyRoute] = []
    reached: set[str] = set()
    for front in config.proxies("frontend", "listen"):
        remaining = hints
        for name, condition in _choices(front, acls_of(front)):
            back = backends.get(name)
            if back is None:
                continue
            reached.add(name)
            if _speaks_http(front, back):
                assessment = _assess(condition, front, back, remaining)
                assessed = _assessed(condition, back, source, assessment)
                routes.append(HaproxyRoute(front, back, assessed))
            remaining = _remaining(remaining, condition)
    for back in config.proxies("backend"):
        if back.name not in reached and _speaks_http(back):
            assessment = _assess(PathCondition(), None, back, hints)
            assessed = _assessed(PathCondition(), back, source, assessment)
            routes.append(HaproxyRoute(None, back, assessed))
    return routes


def unread_choices(config: HaproxyConfig, source: Source) -> list[UnreadPart]:
    """Return the `use_backend` lines that select a backend at run time."""
    return [
        UnreadPart(
            source.path, source.position(line.start)[0], "a backend that is computed at run time"
        )
        for front in config.proxies("frontend", "listen")
        for line in front.inherited("use_backend")
        if any("%[" in word for word in line.texts[1:2])
    ]


def _choices(front: HaproxySection, acls: Acls) -> Iterator[tuple[str, PathCondition]]:
    for line in front.inherited("use_backend"):
        if len(line.words) > 1:
            yield line.texts[1], read_condition(line.texts[2:], acls)
    default = front.nearest("default_backend")
    if default is not None and len(default.words) > 1:
        yield default.texts[1], PathCondition()
    elif front.kind == "listen":
        yield front.name, PathCondition()


def _assess(
    condition: PathCondition,
    front: HaproxySection | None,
    back: HaproxySection,
    hints: RouteHints,
) -> Assessment:
    if condition.events:
        return Assessment(RouteOutcome.STREAMS, ("its condition requires text/event-stream",))
    if condition.no_events:
        return Assessment(RouteOutcome.UNKNOWN, ("its condition excludes text/event-stream",))
    upstreams = [back.name, *_servers(back)]
    recipes = [Recipe.UNBUFFERED] if back.own("option", "http-no-delay") else []
    sites = [front.name] if front is not None else []
    return strongest(
        assess_pattern(pattern, match, upstreams, hints, sites=sites, recipes=recipes)
        for pattern, match in condition.paths or (("/", PathMatch.PREFIX),)
    )


def _assessed(
    condition: PathCondition, back: HaproxySection, source: Source, assessment: Assessment
) -> AssessedRoute:
    line, _ = source.position(back.head.start)
    name = condition.paths[0][0] if condition.paths else "/"
    hint = name if name.startswith("/") else "/"
    return AssessedRoute(source.path, line, name, back.name, assessment, hint)


def _remaining(hints: RouteHints, condition: PathCondition) -> RouteHints:
    """Return the hints whose paths are not already taken by an earlier route.

    An earlier prefix takes all requests under it.
    """
    taken = tuple(pattern for pattern, match in condition.paths if match is PathMatch.PREFIX)
    paths = tuple(path for path in hints.paths if not (taken and path.startswith(taken)))
    # An empty list would mean "no hints", so a path that matches no route is used instead.
    return RouteHints(paths or ("\0",)) if hints.paths else hints


def _speaks_http(*sections: HaproxySection) -> bool:
    for section in sections:
        mode = section.nearest("mode")
        if mode is None or not mode.begins("mode", "http"):
            return False
    return True


def _servers(back: HaproxySection) -> Iterator[str]:
    for line in back.lines:
        if line.texts[0] in {"server", "server-template"}:
            yield from line.texts[1:4]


def _terms(words: tuple[str, ...], acls: Acls) -> Iterator[tuple[bool, list[tuple[str, ...]]]]:
    """Yield for each term of a condition whether it is negated, and the tests it refers to."""
    at = 0
    while at < len(words):
        word = words[at]
        negated = word.startswith("!")
        bare = word.lstrip("!")
        if bare == "" and at + 1 < len(words):
            at, bare = at + 1, words[at + 1]
        if bare == "{":
            close = words.index("}", at) if "}" in words[at:] else len(words)
            yield negated, [words[at + 1 : close]]
            at = close
        elif bare not in {"or", "||", "and"}:
            yield negated, acls.get(bare, [])
        at += 1


def _path_patterns(tests: list[tuple[str, ...]]) -> Iterator[tuple[str, PathMatch]]:
    for test in tests:
        if not test or not test[0].startswith(_PATH_FETCHES):
            continue
        fetch, match = test[0], PathMatch.PREFIX
        for suffix, known in _MATCHES.items():
            if fetch.split(",")[0].endswith(f"_{suffix}"):
                match = known
        flags = iter(test[1:])
        for word in flags:
            if word == "-m":
                match = _MATCHES.get(next(flags, ""), PathMatch.PREFIX)
            elif word == "-f":
                next(flags, "")
            elif not (len(word) == 2 and word[0] == "-"):
                yield word, match
