"""Which pairs of frontend and backend carry streams: `use_backend` with its conditions on paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.haproxy.reader import Config, Section
from undam.lint.routes import PathMatch, RouteHints, StreamLikelihood, classify_pattern
from undam.textfiles.source import Source, UnreadPart

EVENT_STREAM = "text/event-stream"

# Fetches and matching methods of paths (configuration manual, 7.3.6), told by their beginning.
_PATH_FETCHES = ("path", "url", "base", "capture.req.uri", "pathq")
_MATCHES = {
    "reg": PathMatch.REGEX,
    "sub": PathMatch.PART,
    "dir": PathMatch.PART,
    "end": PathMatch.PART,
}


# haproxy refuses longer lines with its default limits.
_MAX_WORDS = 64

Acls = dict[str, list[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a condition asks for, as far as paths and event streams go.

    Args:
        paths: patterns of which one must match; empty: any path.
        events: it holds for requests or responses that name text/event-stream.
        no_events: it does not hold for them.
    """

    paths: tuple[tuple[str, PathMatch], ...] = ()
    events: bool = False
    no_events: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A way that streams: ``front`` is the same as ``back`` for `listen`, and ``None`` where no
    frontend of this file leads to the backend."""

    front: Section | None
    back: Section

    @property
    def sides(self) -> tuple[Section, ...]:
        """The sections that its responses pass, the backend first."""
        if self.front is None or self.front is self.back:
            return (self.back,)
        return (self.back, self.front)


def acls_of(section: Section) -> Acls:
    """The tests of each acl that a section knows by its name."""
    acls: Acls = {}
    for line in section.inherited("acl"):
        acls.setdefault("".join(line.texts[1:2]), []).append(line.texts[2:])
    return acls


def read_condition(words: tuple[str, ...], acls: Acls) -> Condition:
    """A condition from ``if`` or ``unless`` on; no words are the condition that always holds."""
    if not words or words[0] not in {"if", "unless"}:
        return Condition()
    paths: list[tuple[str, PathMatch]] = []
    events = no_events = False
    for has_mark, terms in _terms(words[1:_MAX_WORDS], acls):
        negated = has_mark is not (words[0] == "unless")
        names_events = any(EVENT_STREAM in word for term in terms for word in term)
        events |= names_events and not negated
        no_events |= names_events and negated
        if not negated:
            paths += _path_patterns(terms)
    return Condition(tuple(paths), events, no_events)


def streaming_routes(config: Config, hints: RouteHints) -> list[Route]:
    """The routes over HTTP that stream."""
    backends = {one.name: one for one in config.proxies("backend", "listen")}
    found: list[Route] = []
    reached: set[str] = set()
    for front in config.proxies("frontend", "listen"):
        left = hints
        for name, condition in _choices(front, acls_of(front)):
            back = backends.get(name)
            if back is None:
                continue
            reached.add(name)
            if _streams(condition, back, left) and _speaks_http(front, back):
                found.append(Route(front, back))
            left = _left(left, condition)
    for back in config.proxies("backend"):
        unreached = back.name not in reached and _speaks_http(back)
        if unreached and _streams(Condition(), back, hints):
            found.append(Route(None, back))
    return found


def unread_choices(config: Config, source: Source) -> list[UnreadPart]:
    """Backends that are chosen while it runs."""
    return [
        UnreadPart(
            source.path, source.position(line.start)[0], "a backend that is chosen at run time"
        )
        for front in config.proxies("frontend", "listen")
        for line in front.inherited("use_backend")
        if any("%[" in word for word in line.texts[1:2])
    ]


def _choices(front: Section, acls: Acls) -> Iterator[tuple[str, Condition]]:
    for line in front.inherited("use_backend"):
        if len(line.words) > 1:
            yield line.texts[1], read_condition(line.texts[2:], acls)
    default = front.nearest("default_backend")
    if default is not None and len(default.words) > 1:
        yield default.texts[1], Condition()
    elif front.kind == "listen":
        yield front.name, Condition()


def _streams(condition: Condition, back: Section, hints: RouteHints) -> bool:
    if condition.events:
        return True
    if condition.no_events:
        return False
    upstreams = [back.name, *_servers(back)]
    for pattern, match in condition.paths or (("/", PathMatch.PREFIX),):
        if classify_pattern(pattern, match, upstreams, hints) is not StreamLikelihood.NO:
            return True
    return False


def _left(hints: RouteHints, condition: Condition) -> RouteHints:
    """The hints that a later route may still serve: an earlier prefix takes what lies under it."""
    taken = tuple(pattern for pattern, match in condition.paths if match is PathMatch.PREFIX)
    paths = tuple(path for path in hints.paths if not (taken and path.startswith(taken)))
    # No hints at all would mean that routes are told by their looks.
    return RouteHints(paths or ("\0",)) if hints.paths else hints


def _speaks_http(*sections: Section) -> bool:
    for section in sections:
        mode = section.nearest("mode")
        if mode is None or not mode.begins("mode", "http"):
            return False
    return True


def _servers(back: Section) -> Iterator[str]:
    for line in back.lines:
        if line.texts[0] in {"server", "server-template"}:
            yield from line.texts[1:4]


def _terms(words: tuple[str, ...], acls: Acls) -> Iterator[tuple[bool, list[tuple[str, ...]]]]:
    """Each term of a condition: whether it is negated, and the tests that it stands for."""
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
