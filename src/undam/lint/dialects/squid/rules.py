"""Whether streams pass a Squid, and what it does to them."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.dialects.squid.catalogue import BODY_SIZE, LIFETIME, READ_TIMEOUT, THROTTLED
from undam.lint.dialects.squid.reader import Config, Line
from undam.lint.limits import idle_limit_severity, total_limit_severity
from undam.lint.routes import (
    PathMatch,
    RouteHints,
    StreamLikelihood,
    classify_pattern,
    classify_route,
)
from undam.rules import Severity
from undam.textfiles.edits import Edit

_UNITS = {
    "millisecond": 1e-3,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 604800.0,
    "fortnight": 1209600.0,
    "month": 2592000.0,
    "year": 31557600.0,
}
_SIZES = {"b": 1, "bytes": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_PATH_ACLS = frozenset({"urlpath_regex", "url_regex"})
# 50 chunks of 250 bytes a second, and room for a heartbeat.
_ENOUGH_RATE = 16 << 10
_ENOUGH_BYTES = 8 << 20


def streams_pass(config: Config, hints: RouteHints) -> bool:
    """Whether streams pass: it stands before an origin that streams, or names a path that does."""
    peers = config.all("cache_peer")
    if hints.paths:
        return bool(peers or config.all("http_port", "https_port"))
    names = [text for peer in peers for text in (*peer.texts[:1], *_options(peer))]
    if peers and classify_route("/", names, hints) is not StreamLikelihood.NO:
        return True
    return any(is_of_streams(line, hints) for line in config.all("acl"))


def is_of_streams(acl: Line, hints: RouteHints) -> bool:
    """Whether a line of an acl stands for paths that stream."""
    if not set(acl.texts[1:2]) & _PATH_ACLS:
        return False
    patterns = [text for text in acl.texts[2:] if not text.startswith("-")]
    return any(
        classify_pattern(pattern, PathMatch.REGEX, (), hints) is not StreamLikelihood.NO
        for pattern in patterns
    )


def find_limits(config: Config, heartbeat_s: float) -> Iterator[Diagnostic]:
    """Limits of silence and of the whole connection."""
    line = config.last("read_timeout")
    limit_s = _seconds(line)
    if line is not None and limit_s is not None:
        severity = idle_limit_severity(limit_s, heartbeat_s)
        yield from _limit(READ_TIMEOUT, line, severity, "1 hour", heartbeat_s)
    line = config.last("client_lifetime")
    limit_s = _seconds(line)
    if line is not None and limit_s is not None:
        yield from _limit(LIFETIME, line, total_limit_severity(limit_s), "1 day", heartbeat_s)


def find_pools(config: Config) -> Iterator[Diagnostic]:
    """Delay pools that are too slow for a stream."""
    for line in config.all("delay_parameters"):
        pool, *rates = line.texts
        if any(_leaves_out(access, pool) for access in config.all("delay_access")):
            continue
        slow = [rate for rate in rates if 0 < (_rate(rate) or 0) < _ENOUGH_RATE]
        if slow:
            yield diagnostic_at(THROTTLED, line.source, line.span, pool=pool, rate=_rate(slow[0]))


def find_sizes(config: Config, hints: RouteHints) -> Iterator[Diagnostic]:
    """Limits on the size of a response: the first line that matches a stream counts."""
    for line in config.all("reply_body_max_size"):
        acls = [text for text in line.texts[1:] if text.lower() not in _SIZES]
        is_whole = not acls or acls == ["all"]
        if not is_whole and not all(
            any(is_of_streams(one, hints) for one in config.acl(acl)) for acl in acls
        ):
            continue
        limit = _bytes(line)
        if limit is not None and 0 < limit < _ENOUGH_BYTES:
            size = " ".join(line.texts[: len(line.texts) - len(acls)])
            yield diagnostic_at(BODY_SIZE, line.source, line.span, limit=size)
        return


def _limit(
    rule: ConfigRule, line: Line, severity: Severity | None, to: str, heartbeat_s: float
) -> Iterator[Diagnostic]:
    if severity is not None:
        edit = Edit(line.words[1].start, line.words[-1].end, to)
        limit = " ".join(line.texts)
        yield diagnostic_at(
            rule,
            line.source,
            line.span,
            edit,
            severity=severity,
            limit=limit,
            heartbeat=heartbeat_s,
        )


def _seconds(line: Line | None) -> float | None:
    """A time of squid.conf; seconds without a unit."""
    if line is None or not _is_number(line.texts[0]):
        return None
    unit = line.texts[1].lower() if len(line.texts) > 1 else "second"
    factor = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
    return None if factor is None else float(line.texts[0]) * factor


def _bytes(line: Line) -> int | None:
    if not _is_number(line.texts[0]):
        return None
    unit = line.texts[1].lower() if len(line.texts) > 1 else "bytes"
    return int(float(line.texts[0]) * _SIZES.get(unit, 1))


def _rate(text: str) -> int | None:
    """The first number of ``restore/max``; ``None`` for -1, which is no limit."""
    first = text.partition("/")[0]
    return int(float(first)) if _is_number(first) else None


def _leaves_out(access: Line, pool: str) -> bool:
    return access.texts[:2] == (pool, "deny") and access.texts[2:] not in {("all",), ()}


def _is_number(text: str) -> bool:
    whole = text.replace(".", "", 1)
    return len(text) <= 12 and whole.isascii() and whole.isdecimal()


def _options(peer: Line) -> Iterator[str]:
    """The port, with its colon, and the name of a peer."""
    yield from (f":{port}" for port in peer.texts[2:3])
    yield from (text.removeprefix("name=") for text in peer.texts[3:] if text.startswith("name="))
