"""Cloud resources that carry streams, independent of the file format that defines them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from undam.lint.evidence.hop import Hop, Tier
from undam.lint.routes import AssessedRoute, PathMatch, RouteHints, assess_pattern
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Node
from undam.textfiles.tree_edit import insert_entry, replace_value

_NUMBER = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?", re.ASCII)
_NAME = re.compile(r"[\w-]{2,60}")
# Templates name their resources in CamelCase.
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PLACEHOLDER = re.compile(r"\$\{[^}]{0,200}\}")
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class CloudFact(Enum):
    """A setting or property of a cloud resource that affects streams."""

    IDLE = auto()
    TOTAL = auto()
    BUFFERING = auto()
    COMPRESSION = auto()


@dataclass(frozen=True, slots=True)
class CloudSetting:
    """A setting in the configuration of a cloud resource.

    Args:
        name: its name in messages.
        span: the text to mark.
        seconds: value of a limit; ``inf`` if there is none, ``None`` if it is not a number.
        is_explicit: it is written in the file; otherwise it is the default.
        edit: the fix.
        is_maximum: the service permits no higher value.
    """

    fact: CloudFact
    name: str
    span: tuple[int, int]
    seconds: float | None = None
    is_explicit: bool = True
    edit: Edit | None = None
    is_maximum: bool = False


@dataclass(slots=True)
class CloudResource:
    """A resource of a cloud platform.

    Args:
        address: its name in the file, by which other resources refer to it.
        title: the name of the service for reports.
        start: offset of its definition.
        names: names that may show what it serves.
        paths: paths of its requests; empty for all of them.
        upstreams: addresses of resources and hosts that it sends requests to.
        settings: its settings that affect streams.
    """

    tier: Tier
    title: str
    address: str
    start: int
    names: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    upstreams: list[str] = field(default_factory=list)
    settings: list[CloudSetting] = field(default_factory=list)

    def of(self, fact: CloudFact) -> Iterator[CloudSetting]:
        return (one for one in self.settings if one.fact is fact)


def assess(resource: CloudResource, hints: RouteHints, source: Source) -> AssessedRoute:
    """Return the assessed route of a resource, with its hop if it streams or may stream."""
    # A CDN sends all requests that no pattern matches to its default origin.
    paths = [one.rstrip("*") or "/" for one in resource.paths]
    paths += ["/"] if resource.tier is Tier.CDN or not paths else []
    # A resource is usually named after the program behind it. Host names and comments are ignored.
    names = [_PLACEHOLDER.sub("", one).strip("-_") for one in resource.names]
    named = [one for one in names if _NAME.fullmatch(one)]
    own = resource.address.rpartition(".")[2]
    split = [_WORD_START.sub("-", one).lower() for one in (*named, own)]
    upstreams = [*resource.upstreams, *named, own, *split]
    sites = [one for one in names if one not in named]
    path, assessment = max(
        (
            (one, assess_pattern(one, PathMatch.PREFIX, upstreams, hints, sites=sites))
            for one in paths
        ),
        key=lambda one: one[1].outcome,
    )
    line, _ = source.position(resource.start)
    upstream = resource.upstreams[0] if resource.upstreams else ""
    route = AssessedRoute(source.path, line, path, upstream, assessment, path)
    if not assessment.is_considered:
        return route
    return replace(route, hop=_hop(resource, route, source))


def _hop(resource: CloudResource, route: AssessedRoute, source: Source) -> Hop:
    idle, total = (
        min(
            (one for one in resource.of(fact) if one.seconds is not None),
            key=lambda one: one.seconds or 0,
            default=None,
        )
        for fact in (CloudFact.IDLE, CloudFact.TOTAL)
    )
    return Hop(
        resource.tier,
        resource.title,
        route.path,
        route.line,
        (resource.address, *resource.names),
        tuple(dict.fromkeys(resource.upstreams)),
        idle_limit_s=idle.seconds if idle else None,
        total_limit_s=total.seconds if total else None,
        buffers=any(resource.of(CloudFact.BUFFERING)),
        compresses=any(resource.of(CloudFact.COMPRESSION)),
        idle_at=_at(idle, source),
        total_at=_at(total, source),
    )


def _at(setting: CloudSetting | None, source: Source) -> tuple[str, int] | None:
    if setting is None or not setting.is_explicit:
        return None
    return source.path, source.position(setting.span[0])[0]


def seconds_of(node: Node | None) -> float | None:
    """Parse a number of seconds or a duration such as ``300s``; ``None`` for other values."""
    found = _NUMBER.fullmatch(node.text.strip()) if node is not None else None
    return float(found[1]) * _UNITS_S[found[2] or "s"] if found else None


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """A limit's location in the configuration of a resource, and its default value.

    Args:
        path: the keys to it, outermost first; each block on the path may be repeated.
        default_s: the limit without the setting; ``None`` if that is not known.
        fixed: the text that a fix writes: the highest value, or one hour.
        unit_s: length of its unit in seconds.
        max_s: the highest value that the service permits; ``inf`` if that is an hour or more.
    """

    fact: CloudFact
    path: tuple[str, ...]
    default_s: float | None
    fixed: str
    unit_s: float = 1.0
    max_s: float = math.inf

    def settings(self, node: Node, owner: tuple[int, int], source: Source) -> list[CloudSetting]:
        """Return the limit as configured in each block of a resource.

        Args:
            owner: the span to mark if the limit is not configured.
        """
        *outer, name = self.path
        found = []
        for block in blocks_at([node], outer):
            entry = block.entry(name)
            if entry is not None:
                seconds = seconds_of(entry.value)
                value = None if seconds is None else seconds * self.unit_s
                span = entry.key.start, entry.value.end
                at_most = value is not None and value >= self.max_s
                edit = None if at_most else replace_value(source, entry.value, self.fixed)
                found.append(CloudSetting(self.fact, name, span, value, True, edit, at_most))
            elif self.default_s is not None:
                edit = insert(block, name, self.fixed, source)
                found.append(CloudSetting(self.fact, name, owner, self.default_s, False, edit))
        return found


def insert(block: Node, name: str, value: str, source: Source) -> Edit | None:
    """Return the edit that inserts a setting into a block; numbers are not quoted."""
    _, end = source.line_span(block.start)
    if block.form == "table" and block.end <= end:
        return None  # a setting can be inserted only into a multi-line block
    edit = insert_entry(source, block, name, value)
    if edit is not None and value.isdecimal():
        return Edit(edit.start, edit.end, edit.text.replace(f'"{value}"', value))
    return edit


def blocks_at(nodes: Iterable[Node], path: Iterable[str]) -> Iterator[Node]:
    """Yield the maps at this key path. A repeated block or a list yields several maps."""
    found = list(nodes)
    for name in path:
        found = [
            inner
            for node in found
            for entry in node.entries
            if entry.key.text == name
            for inner in (entry.value.items if entry.value.kind == "list" else [entry.value])
        ]
    yield from (one for one in found if one.kind == "map")
