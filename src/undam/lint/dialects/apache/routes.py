"""Routes that httpd proxies (ProxyPass and similar), with their balancers and sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.dialects.apache.parser import ApacheConfig, ApacheDirective, ApacheScope
from undam.lint.routes import (
    AssessedRoute,
    Assessment,
    PathMatch,
    RouteHints,
    assess_pattern,
    literal_prefix,
    strongest,
)
from undam.textfiles.edits import Edit
from undam.textfiles.tokens import Word

_LOCATIONS = frozenset({"location", "locationmatch"})
_PARAMETER = re.compile(r"[A-Za-z]+=")
_PROXY_FLAG = re.compile(r"(?:^|[\[,])\s*(?:P|proxy)\s*(?:[\],]|$)")
# Maximum number of conditions that are read before a RewriteRule; real rules have a few.
_MAX_CONDITIONS = 50
_MAX_PARTS = 50
# If more sections than this apply to the same path, only the last ones are used, because they take
# precedence.
_MAX_SAME = 5
_HTTP = frozenset({"http", "https"})
MAX_COMPARED = 200
"""Maximum number of lines of one kind to compare with each route; real files have a few."""


@dataclass(frozen=True, slots=True)
class ProxyWorker:
    """A server that httpd proxies to.

    Args:
        line: the ProxyPass, BalancerMember or similar line that names it.
        url: URL with its scheme.
        parameters: words such as ``timeout=5`` on the line.
    """

    line: ApacheDirective
    url: str
    parameters: tuple[Word, ...]

    @property
    def scheme(self) -> str:
        return self.url.rpartition("|")[2].partition(":")[0].lower()

    @property
    def is_http(self) -> bool:
        return self.scheme in _HTTP

    def parameter(self, name: str) -> Word | None:
        """Return the last parameter with this name."""
        found = [one for one in self.parameters if one.text.lower().startswith(f"{name}=")]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class ApacheRoute:
    """A proxied route.

    Args:
        line: the directive that proxies.
        path: prefix or pattern of the requests.
        workers: the servers that it proxies to.
        can_have_parameters: the line may set parameters of its worker as ``name=value``.
    """

    line: ApacheDirective
    path: str
    match: PathMatch
    workers: tuple[ProxyWorker, ...]
    can_have_parameters: bool

    @property
    def prefix(self) -> str:
        """The longest prefix that all request paths of the route share."""
        return _prefix(self.path, self.match)


def find_routes(
    config: ApacheConfig, hints: RouteHints
) -> Iterator[tuple[ApacheRoute, AssessedRoute]]:
    """Yield every route with its outcome, streaming or not, in text order."""
    balancers = _balancers(config)
    for scope in config.root.all_scopes():
        if scope.kind == "proxy":
            continue
        conditions: list[str] = []
        for one in scope.directives:
            if one.name == "rewritecond":
                conditions = [*conditions[-_MAX_CONDITIONS:], *one.texts[1:2]]
                continue
            route = _relay(one, config, balancers)
            if one.name == "rewriterule":
                patterns, conditions = conditions, []
            else:
                patterns = []
            if route is not None:
                yield route, _assessed(route, _assess(route, patterns, hints))


class SectionIndex:
    """Index of the sections in a configuration by path and URL, for fast lookups by route."""

    def __init__(self, config: ApacheConfig) -> None:
        self._config = config
        self._order: dict[int, int] = {}
        self._by_prefix: dict[tuple[int, str], list[ApacheScope]] = {}
        self._by_pattern: dict[tuple[int, str], list[ApacheScope]] = {}
        self._by_url: dict[str, list[ApacheScope]] = {}
        for scope in config.root.all_scopes():
            self._order[id(scope)] = len(self._order)
            if scope.kind == "proxy" and scope.args:
                url = config.expanded(scope.args[0]).rstrip("/")
                self._by_url.setdefault(url, []).append(scope)
            elif scope.kind in _LOCATIONS:
                self._keep(scope)

    def _keep(self, scope: ApacheScope) -> None:
        server = id(scope.server)
        path, match = _path_of(scope)
        path = self._config.expanded(path)
        prefix = _prefix(path, match).rstrip("/")
        if prefix or match is PathMatch.PREFIX:
            self._by_prefix.setdefault((server, prefix), []).append(scope)
        else:
            self._by_pattern.setdefault((server, path), []).append(scope)

    def around(self, route: ApacheRoute) -> list[ApacheScope]:
        """Return the sections that apply to an entire route, in the order httpd merges them."""
        server, root = route.line.scope.server, self._config.root
        servers = [root] if server is root else [root, server]
        parts = route.prefix.rstrip("/").split("/")[:_MAX_PARTS]
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        found: list[ApacheScope] = []
        for one in servers:
            found += self._by_pattern.get((id(one), route.path), [])[-_MAX_SAME:]
            for prefix in prefixes:
                found += self._by_prefix.get((id(one), prefix), [])[-_MAX_SAME:]
        if route.line.scope not in (*servers, *found):
            found.append(route.line.scope)
        return [*servers, *sorted(found, key=lambda scope: self._order[id(scope)])]

    def of_worker(self, worker: ProxyWorker) -> list[ApacheScope]:
        """Return the <Proxy> sections that apply to a worker."""
        named = self._by_url.get(worker.url.rstrip("/"), [])
        return [*self._by_url.get("*", [])[-_MAX_SAME:], *named[-_MAX_SAME:]]


def set_parameter(route: ApacheRoute, worker: ProxyWorker, name: str, value: str) -> list[Edit]:
    """Return the edits that set a worker parameter; empty if the line takes no parameters."""
    parameter, line = worker.parameter(name), worker.line
    if parameter is not None:
        return [Edit(*parameter.span, f"{name}={value}")]
    if line is route.line and not route.can_have_parameters:
        return []
    return [Edit(line.end, line.end, f" {name}={value}")]


def settings_of(scopes: list[ApacheScope], *names: str) -> list[ApacheDirective]:
    """Return the directives with these names, in the order in which httpd merges the sections."""
    return [one for scope in scopes for name in names for one in scope.named(name)]


def _relay(
    one: ApacheDirective, config: ApacheConfig, balancers: dict[str, list[ProxyWorker]]
) -> ApacheRoute | None:
    texts = one.texts
    inside = one.scope.kind in _LOCATIONS
    path, match = _path_of(one.scope)
    if one.name in {"proxypass", "proxypassmatch"}:
        words = one.args if inside else one.args[1:]
        if not words or words[0].text == "!":
            return None
        if not inside:
            path = texts[0]
        is_pattern = one.name == "proxypassmatch" or one.scope.kind == "locationmatch"
        url, parameters = words[0].text, tuple(filter(_is_parameter, words[1:]))
        route_match = PathMatch.REGEX if is_pattern else PathMatch.PREFIX
        return _route(one, (path, route_match), (url, parameters), config, balancers)
    if one.name == "sethandler" and texts and texts[0].lower().startswith("proxy:"):
        return _route(one, (path, match), (texts[0][6:], None), config, balancers)
    if one.name == "rewriterule" and len(texts) > 2 and _PROXY_FLAG.search(texts[2]):
        where = (texts[0], PathMatch.REGEX) if path == "/" else (path, match)
        return _route(one, where, (texts[1], None), config, balancers)
    return None


def _route(
    one: ApacheDirective,
    where: tuple[str, PathMatch],
    target: tuple[str, tuple[Word, ...] | None],
    config: ApacheConfig,
    balancers: dict[str, list[ProxyWorker]],
) -> ApacheRoute:
    url, parameters = config.expanded(target[0]), target[1]
    own = ProxyWorker(one, url, parameters or ())
    members = balancers.get(_balancer_name(url)) if own.scheme == "balancer" else None
    workers = tuple(members) if members else (own,)
    path = config.expanded(where[0])
    return ApacheRoute(one, path, where[1], workers, parameters is not None)


def _path_of(scope: ApacheScope) -> tuple[str, PathMatch]:
    """Return the path of the requests that a section applies to, and how the path is matched."""
    while scope.kind not in _LOCATIONS:
        if scope.kind in {"files", "filesmatch"} and scope.args:
            return scope.args[-1], PathMatch.REGEX
        if scope.parent is None:
            return "/", PathMatch.PREFIX
        scope = scope.parent
    if scope.kind == "location" and scope.args and scope.args[0] != "~":
        return scope.args[0], PathMatch.PREFIX
    return (scope.args[-1] if scope.args else "/"), PathMatch.REGEX


def _assess(route: ApacheRoute, conditions: list[str], hints: RouteHints) -> Assessment:
    upstreams = [worker.url for worker in route.workers]
    patterns = [(route.path, route.match)]
    if route.path.strip("^$()/.*?+") == "" or route.match is PathMatch.REGEX:
        patterns += [(one, PathMatch.REGEX) for one in conditions]
    name = _balancer_target(route)
    server = route.line.scope.server
    named = [*server.named("servername"), *server.named("serveralias")]
    sites = [text for one in named for text in one.texts]
    return strongest(
        assess_pattern(path, match, [*upstreams, name], hints, sites=sites)
        for path, match in patterns
    )


def _assessed(route: ApacheRoute, assessment: Assessment) -> AssessedRoute:
    line, _ = route.line.source.position(route.line.start)
    path = route.line.source.path
    return AssessedRoute(
        path, line, route.path, route.workers[0].url, assessment, route.prefix or "/"
    )


def _balancer_target(route: ApacheRoute) -> str:
    """Return the first URL on the line. A balancer name in the URL may identify an engine."""
    words = [word for word in route.line.texts if not _PARAMETER.match(word)]
    return next((word for word in words if "://" in word), "")


def _balancers(config: ApacheConfig) -> dict[str, list[ProxyWorker]]:
    found: dict[str, list[ProxyWorker]] = {}
    for scope in config.root.all_scopes():
        inside = scope.args[0] if scope.kind == "proxy" and scope.args else ""
        for one in scope.directives:
            if one.name != "balancermember" or not one.args:
                continue
            words = list(one.args)
            named = words.pop(0).text if words[0].text.startswith("balancer:") else inside
            if words:
                url = config.expanded(words[0].text)
                parameters = tuple(filter(_is_parameter, words[1:]))
                name = _balancer_name(config.expanded(named))
                found.setdefault(name, []).append(ProxyWorker(one, url, parameters))
    return found


def _balancer_name(url: str) -> str:
    return url.removeprefix("balancer://").partition("/")[0].lower()


def _is_parameter(word: Word) -> bool:
    return _PARAMETER.match(word.text) is not None


def _prefix(path: str, match: PathMatch) -> str:
    if match is PathMatch.PREFIX:
        return path
    return literal_prefix(path) if path.startswith("^") else "/"
