"""Whether the paths that a pattern matches stream; patterns are never run, only looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from undam.lint.routes import RouteHints, Streams, judge_route

_NO_PATH = re.compile(r"[^\w/.-]+")
_LITERAL = re.compile(r"\^?((?:\\?[/._-]|\w)*)")
# Shorter ones stand in too many paths to say anything of a route.
_TELLING = 3


class Match(StrEnum):
    """What a pattern is compared with."""

    PREFIX = "prefix"
    """The beginning of the path, or all of it."""
    PART = "part"
    """Any part of the path."""
    REGEX = "regex"


def judge_pattern(
    pattern: str, match: Match, upstreams: Iterable[str], hints: RouteHints
) -> Streams:
    """Say whether the route of a pattern streams, as ``judge_route`` does for a prefix."""
    if match is Match.PREFIX:
        return judge_route(pattern, upstreams, hints)
    if not hints.paths:
        return judge_route(pattern, upstreams, hints)
    if match is Match.REGEX and pattern.startswith("^"):
        return judge_route(literal_prefix(pattern), upstreams, hints)
    parts = [part for part in _NO_PATH.split(pattern) if len(part.strip("/.")) >= _TELLING]
    told = any(part.strip("/") in hint for part in parts for hint in hints.paths)
    return Streams.SURE if told else Streams.NO


def literal_prefix(regex: str) -> str:
    """The path that every match of an anchored expression begins with; "/" where there is none."""
    found = _LITERAL.match(regex)
    assert found is not None  # it matches the empty text, too
    literal = found[1].replace("\\", "")
    if regex[found.end() :].startswith(("*", "?", "{")):
        literal = literal[:-1]  # the last character need not be there
    return literal or "/"
