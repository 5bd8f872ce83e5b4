"""Detection of streams that pass through a Squid."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.dialects.squid.parser import SquidConfig, SquidLine
from undam.lint.routes import (
    PathMatch,
    RouteHints,
    StreamLikelihood,
    classify_pattern,
    classify_route,
)

_PATH_ACLS = frozenset({"urlpath_regex", "url_regex"})


def streams_pass(config: SquidConfig, hints: RouteHints) -> bool:
    """Return whether streams pass: an origin server or the path of an ACL streams."""
    peers = config.all("cache_peer")
    if hints.paths:
        return bool(peers or config.all("http_port", "https_port"))
    names = [text for peer in peers for text in (*peer.texts[:1], *_port_and_name(peer))]
    if peers and classify_route("/", names, hints) is not StreamLikelihood.NO:
        return True
    return any(acl_matches_streams(line, hints) for line in config.all("acl"))


def acl_matches_streams(acl: SquidLine, hints: RouteHints) -> bool:
    """Return whether a line of an ACL matches paths that stream."""
    if not set(acl.texts[1:2]) & _PATH_ACLS:
        return False
    patterns = [text for text in acl.texts[2:] if not text.startswith("-")]
    return any(
        classify_pattern(pattern, PathMatch.REGEX, (), hints) is not StreamLikelihood.NO
        for pattern in patterns
    )


def _port_and_name(peer: SquidLine) -> Iterator[str]:
    """Yield the port of a peer, with a colon before it, and its name."""
    yield from (f":{port}" for port in peer.texts[2:3])
    yield from (text.removeprefix("name=") for text in peer.texts[3:] if text.startswith("name="))
