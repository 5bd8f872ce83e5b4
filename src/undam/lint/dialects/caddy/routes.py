"""The `reverse_proxy` directives that carry streams, and the directives that apply to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener
from undam.lint.dialects.caddy.parser import MAX_BLOCKS, CaddyDirective, read_caddyfile
from undam.lint.routes import PathMatch, RouteHints, StreamLikelihood, classify_pattern
from undam.textfiles.source import Source, UnreadPart

_AROUND = frozenset({"encode", "header"})
_CONTAINERS = frozenset({"handle", "handle_path", "route", "handle_errors"})
# Snippets may import themselves, directly or through others.
_MAX_IMPORTS = 500

Paths = tuple[tuple[str, PathMatch], ...]


@dataclass(frozen=True, slots=True)
class CaddyRoute:
    """A reverse_proxy whose responses stream.

    Args:
        around: the directives of outer levels that apply to it.
    """

    relay: CaddyDirective
    around: tuple[CaddyDirective, ...]


@dataclass(slots=True)
class CaddyConfig:
    """A file and the files that it imports."""

    globals: list[CaddyDirective] = field(default_factory=list)
    sites: list[list[CaddyDirective]] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)


def read_config(source: Source, open_include: IncludeOpener) -> CaddyConfig:
    """Parse a file and the files that it imports.

    Raises:
        ConfigSyntaxError: one of the files cannot be parsed.
    """
    config = CaddyConfig()
    reader = _CaddyReader(config, open_include)
    reader.read_top(read_caddyfile(source))
    return config


def streaming_routes(config: CaddyConfig, hints: RouteHints) -> Iterator[CaddyRoute]:
    """Yield the routes that stream, in the order of the text."""
    for site in config.sites:
        yield from _walk(site, (), (), {}, hints)


class _CaddyReader:
    def __init__(self, config: CaddyConfig, open_include: IncludeOpener) -> None:
        self._config = config
        self._open_include = open_include
        self._snippets: dict[str, list[CaddyDirective]] = {}
        self._imports = 0

    def read_top(self, top: list[CaddyDirective]) -> None:
        """Collect the global options, snippets and sites of a file."""
        loose = [one for one in top if one.block is None and one.name != "import"]
        if loose and loose[0] is top[0]:
            # A single site without braces; its first line is the address.
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

    def _imported(self, lines: list[CaddyDirective], depth: int) -> list[CaddyDirective]:
        """Return the lines with each import replaced by the lines of its snippet or files."""
        found: list[CaddyDirective] = []
        for one in lines:
            if one.name == "import" and one.texts:
                if depth > MAX_BLOCKS:
                    self._leave(one)
                elif one.texts[0] in self._snippets:
                    if self._count_import(one):
                        found += self._imported(self._snippets[one.texts[0]], depth + 1)
                else:
                    for file in self._opened(one):
                        found += self._imported(read_caddyfile(file), depth + 1)
                continue
            if one.block is not None:
                block = self._imported(one.block, depth + 1)
                found.append(CaddyDirective(one.source, one.start, one.words, block))
            else:
                found.append(one)
        return found

    def _opened(self, one: CaddyDirective) -> Iterator[Source]:
        pattern = "".join(one.texts[:1])
        for file in self._open_include(pattern):
            if self._count_import(one):
                self._config.included.append(file)
                yield file

    def _count_import(self, one: CaddyDirective) -> bool:
        self._imports += 1
        if self._imports > _MAX_IMPORTS:
            self._leave(one)
        return self._imports <= _MAX_IMPORTS

    def _leave(self, one: CaddyDirective) -> None:
        line, _ = one.source.position(one.start)
        unread = UnreadPart(one.source.path, line, f"import {one.texts[0]}: too many imports")
        if unread not in self._config.unread[-1:]:
            self._config.unread.append(unread)


def _walk(
    lines: list[CaddyDirective],
    paths: Paths,
    around: tuple[CaddyDirective, ...],
    matchers: dict[str, Paths],
    hints: RouteHints,
) -> Iterator[CaddyRoute]:
    known = {**matchers, **_matchers(lines)}
    around = (*around, *(one for one in lines if one.name in _AROUND))
    for one in lines:
        here = _matched(one, known) or paths
        if one.name in _CONTAINERS:
            yield from _walk(one.block or [], here, around, known, hints)
        elif one.name == "reverse_proxy" and _streams(here, _upstreams(one), hints):
            applying = (outer for outer in around if _applies(_matched(outer, known), here))
            yield CaddyRoute(one, tuple(applying))


def _matchers(lines: Iterable[CaddyDirective]) -> dict[str, Paths]:
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


def _matched(one: CaddyDirective, matchers: dict[str, Paths]) -> Paths:
    first = "".join(one.texts[:1])
    if first.startswith("@"):
        return matchers.get(first, ())
    return ((first, PathMatch.PREFIX),) if first.startswith("/") else ()


def _applies(outer: Paths, route: Paths) -> bool:
    """Return whether a directive that matches ``outer`` applies to one of the route's paths."""
    if not outer:
        return True
    return any(path.startswith(prefix.rstrip("*")) for prefix, _ in outer for path, _ in route)


def _streams(paths: Paths, upstreams: list[str], hints: RouteHints) -> bool:
    return any(
        classify_pattern(path.rstrip("*"), match, upstreams, hints) is not StreamLikelihood.NO
        for path, match in paths or (("/", PathMatch.PREFIX),)
    )


def _upstreams(relay: CaddyDirective) -> list[str]:
    to = [text for one in relay.inside("to") for text in one.texts]
    return [text for text in (*relay.texts, *to) if not text.startswith(("/", "@", "*"))]
