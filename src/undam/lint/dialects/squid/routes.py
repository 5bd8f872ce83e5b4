"""Detection of streams that pass through Squid."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.dialects.squid.parser import SquidConfig, SquidLine
from undam.lint.routes import (
    UNKNOWN,
    AssessedRoute,
    Assessment,
    PathMatch,
    RouteHints,
    assess_pattern,
    assess_route,
    strongest,
)
from undam.textfiles.source import Source

_PATH_ACLS = frozenset({"urlpath_regex", "url_regex"})


def assess_traffic(config: SquidConfig, source: Source, hints: RouteHints) -> AssessedRoute:
    """Assess whether streams pass through Squid, based on the origin servers and ACL paths."""
    peers = config.all("cache_peer")
    names = [text for peer in peers for text in (*peer.texts[:1], *_port_and_name(peer))]
    found = UNKNOWN
    if hints.paths:
        if peers or config.all("http_port", "https_port"):
            found = assess_route(hints.paths[0], (), hints)
    else:
        acls = (_assess_acl(line, hints) for line in config.all("acl"))
        found = strongest((assess_route("/", names, hints) if peers else UNKNOWN, *acls))
    line, _ = source.position(peers[0].span[0]) if peers else (1, 1)
    return AssessedRoute(source.path, line, "/", names[0] if names else "", found)


def acl_matches_streams(acl: SquidLine, hints: RouteHints) -> bool:
    """Return whether an ACL line matches paths that stream or may stream."""
    return _assess_acl(acl, hints).is_considered


def _assess_acl(acl: SquidLine, hints: RouteHints) -> Assessment:
    if not set(acl.texts[1:2]) & _PATH_ACLS:
        return UNKNOWN
    patterns = [text for text in acl.texts[2:] if not text.startswith("-")]
    return strongest(assess_pattern(one, PathMatch.REGEX, (), hints) for one in patterns)


def _port_and_name(peer: SquidLine) -> Iterator[str]:
    """Yield the port of a peer, prefixed with a colon, and the name of the peer."""
    yield from (f":{port}" for port in peer.texts[2:3])
    yield from (text.removeprefix("name=") for text in peer.texts[3:] if text.startswith("name="))
