"""Routes: locations that proxy requests, with their upstreams and evidence for streaming."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.dialects.nginx.parser import NginxDirective
from undam.lint.dialects.nginx.scopes import NginxConfig, NginxScope
from undam.lint.dialects.nginx.times import seconds_of
from undam.lint.evidence.names import named_in_placeholders, upstream_evidence
from undam.lint.routes import (
    AssessedRoute,
    Assessment,
    Recipe,
    RouteHints,
    RouteOutcome,
    assess_route,
    literal_prefix,
    strongest,
)
from undam.rules import Severity
from undam.textfiles.edits import Edit

PASSES = ("proxy_pass", "grpc_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass")

_VARIABLE = re.compile(r"\$\{?(\w+)")
_LITERAL = re.compile(r"\^?([\w/-]*)")
# A read timeout this long suggests streaming, because a minute is enough for other responses.
_LONG_S = 600.0
# A variable may refer to other variables. In real files, such chains are shorter than this.
_MAX_HOPS = 4


@dataclass(frozen=True, slots=True)
class Placement:
    """The directive that a diagnostic points to, and an edit in the same file that fixes it."""

    directive: NginxDirective
    edit: Edit | None

    def diagnostic(
        self, rule: ConfigRule, *, severity: Severity | None = None, **evidence: object
    ) -> Diagnostic:
        """Create a diagnostic for a rule at this directive.

        Args:
            severity: overrides the severity of the rule.
            evidence: values for the placeholders in the message of the rule.
        """
        edits = (self.edit,) if self.edit is not None else ()
        one = self.directive
        return diagnostic_at(rule, one.source, one.span, *edits, severity=severity, **evidence)


@dataclass(frozen=True, eq=False)
class NginxRoute:
    """A location that proxies requests.

    Args:
        scope: the level of the location. Conditions in it (`if`, `limit_except`) may contain the
            `proxy_pass`, but buffers and limits belong to the location.
        opener: its `location` directive.
        passes: each `proxy_pass`, or similar directive of the same protocol, in it.
        protocol: the prefix of its directives: ``proxy``, ``uwsgi``, …
        assessed: the route with its outcome.
        upstreams: the targets of the passes, and servers behind them.
        foreign: directives in included files that also apply to locations that do not stream.
    """

    scope: NginxScope
    opener: NginxDirective
    passes: tuple[NginxDirective, ...]
    protocol: str
    assessed: AssessedRoute
    upstreams: tuple[str, ...] = ()
    foreign: frozenset[NginxDirective] = frozenset()

    def insert(self, text: str) -> Placement:
        """Return the placement for a new directive in the location."""
        first = self.passes[0]
        if first.source is self.opener.source and first in self.scope.own(first.name):
            return Placement(first, first.insert_after(text))
        return Placement(self.opener, self.opener.insert_inside(text))

    def insert_beside(self, one: NginxDirective, text: str) -> Placement:
        """Return the placement for a new directive: after ``one`` if it is in the location."""
        if one.source is self.opener.source and one in self.scope.own(one.name):
            return Placement(one, one.insert_after(text))
        return self.insert(text)

    def set_value(self, name: str, value: str) -> Placement:
        """Return the placement that sets the value of a directive in the location.

        A line in an included file is not edited if it also applies to locations that do not stream.
        """
        own = self.scope.own(name)
        if own and len(own[-1].words) > 1:
            is_foreign = own[-1] in self.foreign
            return Placement(own[-1], None if is_foreign else own[-1].replace_value(value))
        return self.insert(f"{name} {value};")


def find_routes(configuration: NginxConfig, hints: RouteHints) -> list[NginxRoute]:
    """Return every route, streaming or not."""
    routes = list(_all_routes(configuration, hints))
    if not configuration.included:
        return routes
    foreign = frozenset(
        directive
        for one in routes
        if one.assessed.outcome is not RouteOutcome.STREAMS
        for directive in one.scope.directives
        if directive.source is not one.opener.source
    )
    return [replace(one, foreign=foreign) for one in routes]


def _all_routes(configuration: NginxConfig, hints: RouteHints) -> Iterator[NginxRoute]:
    targets = _Targets(configuration.root)
    for scope in targets.scopes:
        if scope.kind != "location" or scope.opener is None:
            continue
        levels = [scope, *(one for one in scope.children if one.kind in {"if", "limit_except"})]
        for name in PASSES:
            passes = tuple(one for level in levels for one in level.own(name))
            if passes:
                assessed = _assess(scope, passes, targets, hints)
                protocol = name.removesuffix("_pass")
                behind = (one for each in passes for one in targets.upstreams_behind(each.value))
                yield NginxRoute(
                    scope, scope.opener, passes, protocol, assessed, tuple(dict.fromkeys(behind))
                )


class _Targets:
    """Index for resolving names: upstream blocks, maps, variables and named locations."""

    def __init__(self, root: NginxScope) -> None:
        self.scopes = list(root.all_scopes())
        self.upstreams: dict[str, set[str]] = {}
        self.variables: dict[str, set[str]] = {}
        self.users: dict[str, list[str]] = {}
        self._decisive: dict[str, tuple[str, ...]] = {}
        self._covered: dict[tuple[NginxScope, str], int] = {}
        for scope in self.scopes:
            for one in scope.own("set"):
                if len(one.args) > 1:
                    self.variables.setdefault(one.value.lstrip("$"), set()).add(one.args[1])
            if scope.opener is not None:
                self._add(scope, scope.opener)

    def _add(self, scope: NginxScope, opener: NginxDirective) -> None:
        if opener.name == "upstream":
            servers = {name for one in scope.own("server") for name in _names_of(one)}
            self.upstreams.setdefault(opener.value, set()).update(servers)
        elif opener.name == "map" and len(opener.args) > 1:
            results = {one.value for one in scope.directives}
            self.variables.setdefault(opener.args[1].lstrip("$"), set()).update(results)
        elif opener.name == "location":
            for one in (*scope.own("try_files"), *scope.own("error_page")):
                for arg in one.args:
                    if arg.startswith("@"):
                        self.users.setdefault(arg, []).append(path_of(opener))

    def upstreams_behind(self, target: str) -> tuple[str, ...]:
        """Return the target, and the upstreams behind it with the highest and lowest scores."""
        # The result is cached, because thousands of routes may use the same large map.
        if target not in self._decisive:
            behind = sorted(self._behind(target), key=lambda one: upstream_evidence(one).score)
            self._decisive[target] = tuple(dict.fromkeys((target, behind[-1], behind[0])))
        return self._decisive[target]

    def _behind(self, target: str) -> set[str]:
        """Return the target, the values of its variables, and the servers in its upstreams."""
        known, fresh = {target}, {target}
        for _ in range(_MAX_HOPS):
            new: set[str] = set()
            for one in fresh:
                for variable in _VARIABLE.findall(one):
                    new |= self.variables.get(variable, set())
                new |= self.upstreams.get(_host(one), set())
            fresh = new - known
            known |= new
        return known

    def longest_prefix(self, parent: NginxScope, hint: str) -> int:
        """Return the length of the longest prefix of ``hint`` among the locations in ``parent``."""
        if (parent, hint) not in self._covered:
            named = (_covered(_literal(path_of(one)), hint) for one in parent.own("location"))
            self._covered[parent, hint] = max(named, default=0)
        return self._covered[parent, hint]

    def paths(self, location: NginxDirective) -> list[str]:
        """Return the path of a location, and those of the locations that refer to it by name."""
        path = path_of(location)
        return [path, *self.users.get(path, [])]


def path_of(location: NginxDirective) -> str:
    """Return the prefix or pattern of a location."""
    return location.args[-1] if location.args else "/"


def _names_of(one: NginxDirective) -> list[str]:
    """Return the value of a directive, and the telling names in its template placeholders."""
    if len(one.words) < 2:
        return [one.value]
    written = one.source.written[one.words[1].start : one.words[1].end]
    return [one.value, *named_in_placeholders(written)]


def _host(target: str) -> str:
    return target.partition("://")[2].partition("/")[0] if "://" in target else target


def _assess(
    scope: NginxScope, passes: tuple[NginxDirective, ...], targets: _Targets, hints: RouteHints
) -> AssessedRoute:
    opener = scope.opener
    assert opener is not None
    paths = targets.paths(opener)
    if hints.paths:
        assessment = _assess_hinted([_literal(path) for path in paths], scope, targets, hints)
    else:
        upstreams = [one for each in passes for one in targets.upstreams_behind(each.value)]
        upstreams += [name for each in passes for name in _names_of(each)]
        sites = [
            name
            for each in scope.ancestors()
            for one in each.own("server_name")
            for name in one.args
        ]
        recipes = list(_recipes(scope))
        assessment = strongest(
            assess_route(path, upstreams, hints, sites=sites, recipes=recipes) for path in paths
        )
    line, _ = opener.source.position(opener.start)
    hint = literal_prefix(paths[0]) if paths[0].startswith("^") else paths[0]
    return AssessedRoute(
        opener.source.path, line, paths[0], passes[0].value, assessment, hint or "/"
    )


def _assess_hinted(
    paths: list[str], scope: NginxScope, targets: _Targets, hints: RouteHints
) -> Assessment:
    wanted = [hint for hint in hints.paths if not _goes_to_sibling(hint, paths[0], scope, targets)]
    return strongest(
        assess_route(path, (), RouteHints((hint,))) for path in paths for hint in wanted
    )


def _recipes(scope: NginxScope) -> Iterator[Recipe]:
    """Yield the settings in the location itself that are meant for event streams."""
    headers = [
        arg.lower()
        for name in ("proxy_set_header", "add_header", "proxy_pass_header", "default_type")
        for one in scope.own(name)
        for arg in one.args[:2]
    ]
    if "x-accel-buffering" in headers:
        yield Recipe.ACCEL_BUFFERING
    if any("text/event-stream" in one for one in headers):
        yield Recipe.EVENT_STREAM
    if "upgrade" in headers:
        yield Recipe.UPGRADE
    for one in scope.directives:
        if one.name.endswith("_buffering") and one.value.lower() == "off":
            if one.name != "proxy_request_buffering":
                yield Recipe.UNBUFFERED
        elif one.name == "chunked_transfer_encoding" and one.value.lower() == "off":
            yield Recipe.CHUNKS_OFF
        elif one.name.endswith("_read_timeout") and (seconds_of(one.value) or 0) >= _LONG_S:
            yield Recipe.LONG_SILENCE


def _goes_to_sibling(hint: str, path: str, scope: NginxScope, targets: _Targets) -> bool:
    """Return whether a sibling location with a longer prefix handles the path ``hint``."""
    own = _covered(path, hint)
    assert scope.parent is not None  # only the file scope has no parent, and it is not a location
    return 0 < own < targets.longest_prefix(scope.parent, hint)


def _covered(path: str, hint: str) -> int:
    """Return the number of characters in a prefix if it covers the hinted path, or else 0."""
    bare = path.rstrip("/") + "/"
    return len(bare) if (hint.rstrip("*/") + "/").startswith(bare) else 0


def _literal(path: str) -> str:
    """Return the literal start of an anchored regular expression, or a prefix unchanged."""
    found = _LITERAL.match(path) if path.startswith("^") else None
    return found[1] if found else path
