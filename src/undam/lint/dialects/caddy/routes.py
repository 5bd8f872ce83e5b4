"""Which `reverse_proxy` carries streams, and what holds around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener
from undam.lint.dialects.caddy.reader import MAX_BLOCKS, Directive, read_caddyfile
from undam.lint.routes import PathMatch, RouteHints, StreamLikelihood, classify_pattern
from undam.textfiles.source import Source, UnreadPart

_AROUND = frozenset({"encode", "header"})
_CONTAINERS = frozenset({"handle", "handle_path", "route", "handle_errors"})
# A snippet that imports itself would never end.
_MAX_IMPORTS = 500

Paths = tuple[tuple[str, PathMatch], ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A reverse_proxy whose responses stream.

    Args:
        around: the directives of outer levels that hold for it.
    """

    relay: Directive
    around: tuple[Directive, ...]


@dataclass(slots=True)
class Config:
    """A file and what it imports."""

    globals: list[Directive] = field(default_factory=list)
    sites: list[list[Directive]] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)


def read_config(source: Source, open_include: IncludeOpener) -> Config:
    """Read a file and those it imports. Raises ConfigSyntaxError."""
    config = Config()
    reader = _Reader(config, open_include)
    reader.read_top(read_caddyfile(source))
    return config


def streaming_routes(config: Config, hints: RouteHints) -> Iterator[Route]:
    """The relays that stream, in the order of the text."""
    for site in config.sites:
        yield from _walk(site, (), (), {}, hints)


class _Reader:
    def __init__(self, config: Config, open_include: IncludeOpener) -> None:
        self._config = config
        self._open_include = open_include
        self._snippets: dict[str, list[Directive]] = {}
        self._imports = 0

    def read_top(self, top: list[Directive]) -> None:
        """Global options, snippets and sites of a file."""
        loose = [one for one in top if one.block is None and one.name != "import"]
        if loose and loose[0] is top[0]:  # one site without braces: the first line is its address
            self._config.sites.append(self._imported(top[1:], 0))
            return
        for one in top:
            if one.name == "import":
                for file in self._opened(one):
                    self.read_top(read_caddyfile(file))
            elif not one.words:
                self._config.globals += one.block or []
            elif one.name.startswith("(") and one.name.endswith(")"):
                self._snippets[one.name[1:-1]] = one.block or []
            elif one.block is not None:
                self._config.sites.append(self._imported(one.block, 0))

    def _imported(self, lines: list[Directive], depth: int) -> list[Directive]:
        """The lines, with snippets and files in the place of their imports."""
        found: list[Directive] = []
        for one in lines:
            if one.name == "import" and one.texts:
                if depth > MAX_BLOCKS:
                    self._leave(one)
                elif one.texts[0] in self._snippets:
                    if self._may(one):
                        found += self._imported(self._snippets[one.texts[0]], depth + 1)
                else:
                    for file in self._opened(one):
                        found += self._imported(read_caddyfile(file), depth + 1)
                continue
            if one.block is not None:
                block = self._imported(one.block, depth + 1)
                found.append(Directive(one.source, one.start, one.words, block))
            else:
                found.append(one)
        return found

    def _opened(self, one: Directive) -> Iterator[Source]:
        pattern = "".join(one.texts[:1])
        for file in self._open_include(pattern):
            if self._may(one):
                self._config.included.append(file)
                yield file

    def _may(self, one: Directive) -> bool:
        self._imports += 1
        if self._imports > _MAX_IMPORTS:
            self._leave(one)
        return self._imports <= _MAX_IMPORTS

    def _leave(self, one: Directive) -> None:
        line, _ = one.source.position(one.start)
        told = UnreadPart(one.source.path, line, f"import {one.texts[0]}: too many imports")
        if told not in self._config.unread[-1:]:
            self._config.unread.append(told)


def _walk(
    lines: list[Directive],
    paths: Paths,
    around: tuple[Directive, ...],
    matchers: dict[str, Paths],
    hints: RouteHints,
) -> Iterator[Route]:
    known = {**matchers, **_matchers(lines)}
    around = (*around, *(one for one in lines if one.name in _AROUND))
    for one in lines:
        here = _matched(one, known) or paths
        if one.name in _CONTAINERS:
            yield from _walk(one.block or [], here, around, known, hints)
        elif one.name == "reverse_proxy" and _streams(here, _upstreams(one), hints):
            holding = (outer for outer in around if _holds(_matched(outer, known), here))
            yield Route(one, tuple(holding))


def _matchers(lines: Iterable[Directive]) -> dict[str, Paths]:
    found: dict[str, Paths] = {}
    for one in lines:
        if one.name.startswith("@"):
            tests = [tuple(word.text for word in line.words) for line in one.block or ()]
            if one.texts:
                tests.append(one.texts)
            found[one.name] = tuple(path for test in tests for path in _paths_of(test))
    return found


def _paths_of(test: tuple[str, ...]) -> Iterator[tuple[str, PathMatch]]:
    if test[:1] == ("path",):
        yield from ((path, PathMatch.PREFIX) for path in test[1:])
    elif test[:1] == ("path_regexp",):
        yield from ((path, PathMatch.REGEX) for path in test[-1:])


def _matched(one: Directive, matchers: dict[str, Paths]) -> Paths:
    first = "".join(one.texts[:1])
    if first.startswith("@"):
        return matchers.get(first, ())
    return ((first, PathMatch.PREFIX),) if first.startswith("/") else ()


def _holds(outer: Paths, route: Paths) -> bool:
    """Whether what has these paths holds for one of the route's."""
    if not outer:
        return True
    return any(path.startswith(prefix.rstrip("*")) for prefix, _ in outer for path, _ in route)


def _streams(paths: Paths, upstreams: list[str], hints: RouteHints) -> bool:
    return any(
        classify_pattern(path.rstrip("*"), match, upstreams, hints) is not StreamLikelihood.NO
        for path, match in paths or (("/", PathMatch.PREFIX),)
    )


def _upstreams(relay: Directive) -> list[str]:
    to = [text for one in relay.inside("to") for text in one.texts]
    return [text for text in (*relay.texts, *to) if not text.startswith(("/", "@", "*"))]
