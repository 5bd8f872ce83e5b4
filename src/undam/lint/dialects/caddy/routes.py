"""Routes from `reverse_proxy` directives, their outcomes, and the directives that affect them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener, PartlyOpened
from undam.lint.dialects.caddy.parser import MAX_BLOCKS, CaddyDirective, read_caddyfile
from undam.lint.evidence.names import named_in_placeholders
from undam.lint.routes import (
    AssessedRoute,
    PathMatch,
    Recipe,
    RouteHints,
    assess_pattern,
    strongest,
)
from undam.textfiles.source import Source, UnreadPart

_AROUND = frozenset({"encode", "header"})
_CONTAINERS = frozenset({"handle", "handle_path", "route", "handle_errors"})
# This limit stops snippets that import themselves, directly or indirectly.
_MAX_IMPORTS = 500

Paths = tuple[tuple[str, PathMatch], ...]


@dataclass(frozen=True, slots=True)
class CaddyRoute:
    """A route that is defined by a `reverse_proxy` directive.

    Args:
        around: the directives of outer levels that apply to it.
        assessed: the route with its outcome.
        names: the addresses of the site.
    """

    relay: CaddyDirective
    around: tuple[CaddyDirective, ...]
    assessed: AssessedRoute
    names: tuple[str, ...] = ()

    @property
    def upstreams(self) -> list[str]:
        """The upstream servers of the route."""
        return _upstreams(self.relay)


@dataclass(frozen=True, slots=True)
class CaddySite:
    """A site block in a Caddyfile.

    Args:
        names: the addresses of the site.
    """

    names: tuple[str, ...]
    lines: list[CaddyDirective]


@dataclass(slots=True)
class CaddyConfig:
    """A Caddyfile with its imported files.

    Args:
        unopened: the imports that were not opened.
    """

    globals: list[CaddyDirective] = field(default_factory=list)
    sites: list[CaddySite] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)


def read_config(source: Source, open_include: IncludeOpener) -> CaddyConfig:
    """Parse a Caddyfile and the files that it imports.

    Raises:
        ConfigSyntaxError: one of the files cannot be parsed.
    """
    config = CaddyConfig()
    reader = _CaddyReader(config, open_include)
    reader.read_top(read_caddyfile(source))
    return config


def find_routes(config: CaddyConfig, hints: RouteHints) -> Iterator[CaddyRoute]:
    """Yield every route, streaming or not, in text order."""
    for site in config.sites:
        yield from _SiteRoutes(site.names, hints).walk(site.lines, (), (), {})


class _CaddyReader:
    def __init__(self, config: CaddyConfig, open_include: IncludeOpener) -> None:
        self._config = config
        self._open_include = open_include
        self._snippets: dict[str, list[CaddyDirective]] = {}
        self._imports = 0

    def read_top(self, top: list[CaddyDirective]) -> None:
        """Collect the global options, snippets and sites in a file."""
        loose = [one for one in top if one.block is None and one.name != "import"]
        if loose and loose[0] is top[0]:
            # The file contains a single site without braces, so its first line is the address.
            names = tuple(word.text.rstrip(",") for word in top[0].words)
            self._config.sites.append(CaddySite(names, self._imported(top[1:], 0)))
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
                names = tuple(word.text.rstrip(",") for word in one.words)
                self._config.sites.append(CaddySite(names, self._imported(one.block, 0)))

    def _imported(self, lines: list[CaddyDirective], depth: int) -> list[CaddyDirective]:
        """Return the lines with each import replaced by the imported snippet or files."""
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
        files = self._open_include(pattern)
        if not files or isinstance(files, PartlyOpened):
            self._config.unopened.append(f"import {pattern}")
        for file in files:
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


class _SiteRoutes:
    """The routes of one site block in a Caddyfile.

    Args:
        names: the addresses of the site.
    """

    def __init__(self, names: tuple[str, ...], hints: RouteHints) -> None:
        self._names = names
        self._hints = hints

    def walk(
        self,
        lines: list[CaddyDirective],
        paths: Paths,
        around: tuple[CaddyDirective, ...],
        matchers: dict[str, Paths],
    ) -> Iterator[CaddyRoute]:
        """Yield the routes in a list of directives, including those in nested blocks."""
        known = {**matchers, **_matchers(lines)}
        around = (*around, *(one for one in lines if one.name in _AROUND))
        for one in lines:
            here = _matched(one, known) or paths
            if one.name in _CONTAINERS:
                yield from self.walk(one.block or [], here, around, known)
            elif one.name == "reverse_proxy":
                applying = (outer for outer in around if _applies(_matched(outer, known), here))
                yield CaddyRoute(one, tuple(applying), self._assess(one, here), self._names)

    def _assess(self, relay: CaddyDirective, paths: Paths) -> AssessedRoute:
        named = named_in_placeholders(relay.source.written[slice(*relay.span)])
        upstreams = [*_upstreams(relay), *named]
        recipes = list(_recipes(relay))
        patterns = paths or (("/", PathMatch.PREFIX),)
        assessment = strongest(
            assess_pattern(
                path.rstrip("*") or "/",
                match,
                upstreams,
                self._hints,
                sites=self._names,
                recipes=recipes,
            )
            for path, match in patterns
        )
        line, _ = relay.source.position(relay.start)
        hint = patterns[0][0].rstrip("*") if patterns[0][1] is PathMatch.PREFIX else "/"
        upstream = upstreams[0] if upstreams else ""
        return AssessedRoute(
            relay.source.path, line, patterns[0][0], upstream, assessment, hint or "/"
        )


def _recipes(relay: CaddyDirective) -> Iterator[Recipe]:
    """Yield the settings in a `reverse_proxy` block that are meant for event streams."""
    for option in relay.inside("flush_interval"):
        if option.texts[:1] == ("-1",):
            yield Recipe.FLUSHED
    for option in relay.inside("header_up", "header_down"):
        name = "".join(option.texts[:1]).lower().lstrip("+>?")
        if name == "x-accel-buffering":
            yield Recipe.ACCEL_BUFFERING
        elif "text/event-stream" in option.texts:
            yield Recipe.EVENT_STREAM


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
    """Return whether a directive for the paths in ``outer`` applies to any path of the route."""
    if not outer:
        return True
    return any(path.startswith(prefix.rstrip("*")) for prefix, _ in outer for path, _ in route)


def _upstreams(relay: CaddyDirective) -> list[str]:
    to = [text for one in relay.inside("to") for text in one.texts]
    return [text for text in (*relay.texts, *to) if not text.startswith(("/", "@", "*"))]
