"""Which `proxy.server` carries streams, and which settings hold there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from undam.lint.dialects.lighttpd.reader import Assign, Config, Test, Token
from undam.lint.routes import (
    PathMatch,
    RouteHints,
    StreamLikelihood,
    classify_pattern,
    literal_prefix,
)

_RELAYS = frozenset(
    {"proxy.server", "fastcgi.server", "scgi.server", "uwsgi.server", "ajp13.server"}
)
_MATCHES = {
    "=~": PathMatch.REGEX,
    "==": PathMatch.PREFIX,
    "=^": PathMatch.PREFIX,
    "=$": PathMatch.PART,
}
# Of a setting that stands in more places only the first are compared with each relay.
_LOOKED_AT = 100
_PATH_FIELDS = frozenset({"url", "request-uri"})


@dataclass(frozen=True, slots=True)
class Route:
    """A relay whose responses stream.

    Args:
        keys: the path prefixes in its array that stream; "" for all.
    """

    relay: Assign
    keys: tuple[str, ...]


def streaming_routes(config: Config, hints: RouteHints) -> Iterator[Route]:
    """The relays that stream, in the order of the text."""
    for assign in config.assigns:
        if assign.name in _RELAYS:
            upstreams = _upstreams(assign)
            paths = _paths(assign.tests)
            keys = tuple(key for key in _keys(assign) if _streams(paths, key, upstreams, hints))
            if keys:
                yield Route(assign, keys)


def setting(config: Config, name: str, relay: Assign) -> Assign | None:
    """The assignment of ``name`` that holds at a relay: of those under its conditions, or the outer
    ones of them, the last one; a global one only where there is no other."""
    depths = range(len(relay.tests), 0, -1)
    found = [config.last(name, relay.tests[:depth]) for depth in depths]
    latest = max((one for one in found if one is not None), key=lambda one: one[0], default=None)
    latest = latest or config.last(name, ())
    return latest[1] if latest else None


def elsewhere(config: Config, name: str, relay: Assign, hints: RouteHints) -> Iterator[Assign]:
    """Assignments of ``name`` under further conditions, which the relay's streams may meet."""
    there = set(relay.tests)
    around = [_prefix(*path) for path in _paths(relay.tests)]
    for assign in config.named(name)[:_LOOKED_AT]:
        if there.issuperset(assign.tests):
            continue
        paths = _paths(assign.tests)
        lies_in = all(_prefix(*path).startswith(one) for path in paths for one in around)
        if lies_in and (not paths or _streams(paths, "", [], hints)):
            yield assign


def _prefix(pattern: str, match: PathMatch) -> str:
    if match is PathMatch.PREFIX:
        return pattern
    return literal_prefix(pattern) if pattern.startswith("^") else "/"


def number_of(assign: Assign, key: str) -> Iterator[tuple[int, Token]]:
    """The numbers that stand as ``"key" => NUMBER`` in an array."""
    tokens = assign.value
    for at in range(len(tokens) - 2):
        if tokens[at].text == key and tokens[at + 1].text == "=>":
            text = tokens[at + 2].text
            if text.isascii() and text.isdecimal() and len(text) < 12:
                yield int(text), tokens[at + 2]


def _paths(tests: tuple[Test, ...]) -> list[tuple[str, PathMatch]]:
    return [
        (test.value, _MATCHES[test.operator])
        for test in tests
        if test.field in _PATH_FIELDS and test.operator in _MATCHES
    ]


def _streams(
    paths: list[tuple[str, PathMatch]], key: str, upstreams: list[str], hints: RouteHints
) -> bool:
    asked = [*paths, (key, PathMatch.PREFIX)] if key.startswith("/") else paths
    if not asked:
        asked = [(key or "/", PathMatch.PART if key else PathMatch.PREFIX)]
    judged = [classify_pattern(path, match, upstreams, hints) for path, match in asked]
    if hints.paths:
        return all(one is not StreamLikelihood.NO for one in judged)
    return any(one is not StreamLikelihood.NO for one in judged)


def _keys(relay: Assign) -> list[str]:
    """The prefixes or suffixes of paths that an array of servers is divided by."""
    keys, depth = [], 0
    for token, behind in pairwise(relay.value):
        if token.kind == "op":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        elif depth == 1 and token.kind == "string" and behind.text == "=>":
            keys.append(token.text)
    return keys or [""]


def _upstreams(relay: Assign) -> list[str]:
    tokens = relay.value
    hosts = [
        tokens[at + 2].text
        for at in range(len(tokens) - 2)
        if tokens[at].text == "host" and tokens[at + 1].text == "=>"
    ]
    ports = [f":{port}" for port, _ in number_of(relay, "port")]
    # A name behind another bracket is a label of the server.
    labels = [token.text for token in tokens if token.kind == "string"]
    return [*hosts, *ports, *(label for label in labels if re.fullmatch(r"[\w.-]{3,}", label))]
