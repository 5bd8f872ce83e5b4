"""Routes from `proxy.server` and similar assignments, and the settings that affect them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from undam.lint.dialects.lighttpd.parser import Assignment, LighttpdConfig, UrlCondition, number_in
from undam.lint.routes import (
    UNKNOWN,
    AssessedRoute,
    Assessment,
    PathMatch,
    RouteHints,
    assess_pattern,
    literal_prefix,
    strongest,
)
from undam.textfiles.edits import Edit, insert_line_after, line_ending
from undam.textfiles.source import Source
from undam.textfiles.tokens import Token

_RELAYS = frozenset(
    {"proxy.server", "fastcgi.server", "scgi.server", "uwsgi.server", "ajp13.server"}
)
_MATCHES = {
    "=~": PathMatch.REGEX,
    "==": PathMatch.PREFIX,
    "=^": PathMatch.PREFIX,
    "=$": PathMatch.PART,
}
# Maximum number of assignments to the same name that are compared with each route; real files have
# a few.
_MAX_COMPARED = 100
_PATH_FIELDS = frozenset({"url", "request-uri"})
_OPTIONS_WITH_ARRAYS = frozenset({"bin-environment", "bin-copy-environment", "x-sendfile-docroot"})


@dataclass(frozen=True, slots=True)
class LighttpdRoute:
    """A route that is defined by `proxy.server` or a similar assignment.

    Args:
        keys: the path prefixes in its array with the most certain outcome; "" means all.
        assessed: the route with its outcome.
    """

    relay: Assignment
    keys: tuple[str, ...]
    assessed: AssessedRoute


def find_routes(config: LighttpdConfig, hints: RouteHints) -> Iterator[LighttpdRoute]:
    """Yield every route, streaming or not, in text order."""
    for assignment in config.assignments:
        if assignment.name in _RELAYS:
            upstreams = _upstreams(assignment)
            paths = _paths(assignment.conditions)
            assessments = {key: _assess(paths, key, upstreams, hints) for key in _keys(assignment)}
            best = strongest(assessments.values())
            keys = tuple(key for key, one in assessments.items() if one.outcome is best.outcome)
            name = next(filter(None, (*keys, *(path for path, _ in paths))), "/")
            line, _ = assignment.source.position(assignment.start)
            upstream = upstreams[0] if upstreams else ""
            hint = name if name.startswith("/") else "/"
            path = assignment.source.path
            assessed = AssessedRoute(path, line, name, upstream, best, hint)
            yield LighttpdRoute(assignment, keys, assessed)


def effective(config: LighttpdConfig, name: str, relay: Assignment) -> Assignment | None:
    """Return the assignment to ``name`` that is in effect for a route.

    It is the last one under the route's conditions or the outer ones of them. A global assignment
    applies only if there is no other.
    """
    depths = range(len(relay.conditions), 0, -1)
    found = [config.last(name, relay.conditions[:depth]) for depth in depths]
    latest = max((one for one in found if one is not None), key=lambda one: one[0], default=None)
    latest = latest or config.last(name, ())
    return latest[1] if latest else None


def under_other_conditions(
    config: LighttpdConfig, name: str, relay: Assignment, hints: RouteHints
) -> Iterator[Assignment]:
    """Yield assignments to ``name`` under additional conditions that streams may satisfy."""
    relay_conditions = set(relay.conditions)
    around = [_prefix(*path) for path in _paths(relay.conditions)]
    for assignment in config.named(name)[:_MAX_COMPARED]:
        if relay_conditions.issuperset(assignment.conditions):
            continue
        paths = _paths(assignment.conditions)
        is_inside = all(_prefix(*path).startswith(one) for path in paths for one in around)
        if is_inside and (not paths or _assess(paths, "", [], hints).is_considered):
            yield assignment


def _prefix(pattern: str, match: PathMatch) -> str:
    if match is PathMatch.PREFIX:
        return pattern
    return literal_prefix(pattern) if pattern.startswith("^") else "/"


def numbers_of(assignment: Assignment, key: str) -> Iterator[tuple[int, Token]]:
    """Yield the number and the token for each array entry ``"key" => NUMBER``."""
    tokens = assignment.value
    for at in range(len(tokens) - 2):
        if tokens[at].text == key and tokens[at + 1].text == "=>":
            text = tokens[at + 2].text
            if text.isascii() and text.isdecimal() and len(text) < 12:
                yield int(text), tokens[at + 2]


def _paths(conditions: tuple[UrlCondition, ...]) -> list[tuple[str, PathMatch]]:
    return [
        (condition.value, _MATCHES[condition.operator])
        for condition in conditions
        if condition.field in _PATH_FIELDS and condition.operator in _MATCHES
    ]


def _assess(
    paths: list[tuple[str, PathMatch]], key: str, upstreams: list[str], hints: RouteHints
) -> Assessment:
    patterns = [*paths, (key, PathMatch.PREFIX)] if key.startswith("/") else paths
    if not patterns:
        patterns = [(key or "/", PathMatch.PART if key else PathMatch.PREFIX)]
    found = [assess_pattern(path, match, upstreams, hints) for path, match in patterns]
    if hints.paths and not all(one.is_considered for one in found):
        return UNKNOWN
    return strongest(found)


def _keys(relay: Assignment) -> list[str]:
    """Return the keys in an array of servers, which are path prefixes or suffixes."""
    keys, depth = [], 0
    for token, behind in pairwise(relay.value):
        if token.kind == "op":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        elif depth == 1 and token.kind == "string" and behind.text == "=>":
            keys.append(token.text)
    return keys or [""]


def _upstreams(relay: Assignment) -> list[str]:
    tokens = relay.value
    hosts = [
        tokens[at + 2].text
        for at in range(len(tokens) - 2)
        if tokens[at].text == "host" and tokens[at + 1].text == "=>"
    ]
    ports = [f":{port}" for port, _ in numbers_of(relay, "port")]
    # A server's label may identify an engine; the names of server options are excluded.
    labels = [
        tokens[at].text
        for at in range(len(tokens) - 2)
        if (tokens[at].kind, tokens[at + 1].text, tokens[at + 2].text) == ("string", "=>", "(")
        and tokens[at].text not in _OPTIONS_WITH_ARRAYS
    ]
    return [*hosts, *ports, *(label for label in labels if re.fullmatch(r"[\w.-]{3,}", label))]


@dataclass(frozen=True, slots=True)
class SettingChange:
    """Edits that change the value of a directive for one route.

    Args:
        changes_current: the edits change the value that applies now, instead of adding a line.
    """

    edits: tuple[Edit, ...]
    changes_current: bool


def set_for_route(
    route: LighttpdRoute, name: str, value: int, current: Assignment | None
) -> SettingChange:
    """Return the edits that set a directive for one route only.

    Args:
        current: the assignment that applies now.
    """
    relay = route.relay
    if (
        current is not None
        and set(current.conditions) == set(relay.conditions)
        and "" in route.keys
    ):
        token = current.value[0]
        assert number_in(token) is not None  # callers pass only numeric values
        return SettingChange((Edit(*token.span, str(value)),), changes_current=True)
    if "" in route.keys or relay.conditions:
        edit = _insert_beside(relay, f"{name} = {value}")
    else:
        at, end = _line_stop(relay.source, relay.end), line_ending(relay.source)
        blocks = "".join(
            f'{end}$HTTP["url"] =~ "^{_escaped(key)}" {{{end}    {name} = {value}{end}}}'
            for key in route.keys
            if key.startswith("/")
        )
        edit = Edit(at, at, blocks)
    return SettingChange((edit,), changes_current=False)


def _insert_beside(relay: Assignment, text: str) -> Edit:
    source = relay.source
    rest = source.text[relay.end : _line_stop(source, relay.end)].strip()
    if rest and not rest.startswith("#"):  # the block ends on this line
        indent = source.indent_at(relay.start)
        return Edit(relay.start, relay.start, f"{text}{line_ending(source)}{indent}")
    return insert_line_after(source, relay.end, text, source.indent_at(relay.start))


def _line_stop(source: Source, offset: int) -> int:
    """Return the offset of the end of a line, excluding the line ending."""
    start, end = source.line_span(offset)
    return start + len(source.text[start:end].rstrip("\r\n"))


def _escaped(path: str) -> str:
    return "".join("\\" + one if one in ".*+?()[]{}|^$\\" else one for one in path)
