"""Rules SQD401-SQD403: limits on idle time, duration and size."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.squid.parser import SquidConfig, SquidLine, is_number
from undam.lint.dialects.squid.routes import acl_matches_streams
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.lint.routes import RouteHints
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit

READ_TIMEOUT = ConfigRule(
    code="SQD401",
    slug="short-read-timeout",
    severity=Severity.WARNING,
    message="a stream is cut after {limit} of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        `read_timeout` (15 minutes by default) ends a response when the origin has sent nothing for
        this long.
    """,
    why="""
        A model that is reasoning, queued or calling a tool sends nothing, so the limit expires and
        the client receives a truncated stream.
    """,
    detection="""
        Streams pass through this Squid, and the limit is below the expected silence (setting
        `silence`, 300 s by default). If the heartbeat interval is known, the limit is compared with
        twice that interval instead. If the heartbeat interval is known, a limit of at most one
        heartbeat interval is an error, and a higher limit is a warning.
    """,
    measured="""
        squid 5.7 with `read_timeout 2 seconds` closed a stream that was silent for 4.5 s; a comment
        every 0.5 s kept it open.
    """,
    fix="""
        Set `read_timeout` to one hour. The limit applies to every origin, so Squid detects a dead
        origin later.

            read_timeout 1 hour
    """,
    source="measured on loopback with squid 5.7; squid.conf.documented, read_timeout",
)

LIFETIME = ConfigRule(
    code="SQD402",
    slug="short-client-lifetime",
    severity=Severity.WARNING,
    message="every stream is cut {limit} after its client connected; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="`client_lifetime` (one day by default) limits how long a client may stay connected.",
    why="""
        `client_lifetime` cuts a response while data is still arriving, even if heartbeats are sent.
    """,
    detection="""
        Streams pass through this Squid, and the limit is below one hour. A limit of one minute or
        less is reported as an error.
    """,
    measured="""
        squid 5.7 with `client_lifetime 2 seconds` cut a stream although a comment was sent every
        0.5 s.
    """,
    fix="""
        Restore Squid's default of one day. `client_lifetime` applies to every client.

            client_lifetime 1 day
    """,
    source="measured on loopback with squid 5.7; squid.conf.documented, client_lifetime",
)

BODY_SIZE = ConfigRule(
    code="SQD403",
    slug="reply-size-limit-on-streams",
    severity=Severity.WARNING,
    message="reply_body_max_size cuts a stream that is larger than {limit}",
    safety=Safety.NONE,
    what="""
        `reply_body_max_size` ends a response that becomes larger than the limit. The size of a
        stream is not known in advance.
    """,
    why="""
        A long answer is cut after its status and headers have been sent. In OpenAI chunks, an
        answer of 4000 tokens takes up one megabyte.
    """,
    detection="""
        Streams pass through this Squid, and a limit below 8 MB applies to all responses or to an
        ACL of streaming paths. An earlier line with `none` exempts streams from the limit.
    """,
    measured="squid 5.7 with `reply_body_max_size 4 KB` cut a stream of 40 KB.",
    fix="""
        Exempt streams in a line before the other limits, because the first matching line applies.
        There is no automatic fix, because the exemption needs an ACL of your own.

            acl streams urlpath_regex ^/v1/
            reply_body_max_size none streams
    """,
    source="measured on loopback with squid 5.7; squid.conf.documented, reply_body_max_size",
)

RULES = (READ_TIMEOUT, LIFETIME, BODY_SIZE)

_UNITS_S = {
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
_UNITS_BYTES = {"b": 1, "bytes": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_ENOUGH_BYTES = 8 << 20


def find(config: SquidConfig, settings: Settings) -> Iterator[Diagnostic]:
    """Find limits that cut off streams."""
    yield from _find_timeouts(config, settings.silence)
    yield from _find_sizes(config, settings.hints)


def _find_timeouts(config: SquidConfig, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    line = config.last("read_timeout")
    limit_s = seconds_of(line)
    if line is not None and limit_s is not None:
        severity = silence.severity(limit_s)
        yield from _limit(READ_TIMEOUT, line, severity, "1 hour", silence)
    yield from find_total(config)


def find_total(config: SquidConfig) -> Iterator[Diagnostic]:
    """Find limits on the duration of every response."""
    line = config.last("client_lifetime")
    limit_s = seconds_of(line)
    if line is not None and limit_s is not None:
        severity = total_limit_severity(limit_s)
        yield from _limit(LIFETIME, line, severity, "1 day", ExpectedSilence())


def _find_sizes(config: SquidConfig, hints: RouteHints) -> Iterator[Diagnostic]:
    """Find the effective size limit for streams, which is the first applicable one."""
    for line in config.all("reply_body_max_size"):
        acls = [text for text in line.texts[1:] if text.lower() not in _UNITS_BYTES]
        is_for_all = not acls or acls == ["all"]
        if not is_for_all and not all(
            any(acl_matches_streams(one, hints) for one in config.acl(acl)) for acl in acls
        ):
            continue
        limit = _bytes(line)
        if limit is not None and 0 < limit < _ENOUGH_BYTES:
            size = " ".join(line.texts[: len(line.texts) - len(acls)])
            yield diagnostic_at(BODY_SIZE, line.source, line.span, limit=size)
        return


def _limit(
    rule: ConfigRule, line: SquidLine, severity: Severity | None, new: str, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    if severity is not None:
        yield diagnostic_at(
            rule,
            line.source,
            line.span,
            Edit(line.words[1].start, line.words[-1].end, new),
            severity=severity,
            limit=" ".join(line.texts),
            expected=silence.reason,
        )


def seconds_of(line: SquidLine | None) -> float | None:
    """Parse a squid.conf time value; the default unit is seconds."""
    if line is None or not is_number(line.texts[0]):
        return None
    unit = line.texts[1].lower() if len(line.texts) > 1 else "second"
    factor = _UNITS_S.get(unit) or _UNITS_S.get(unit.removesuffix("s"))
    return None if factor is None else float(line.texts[0]) * factor


def _bytes(line: SquidLine) -> int | None:
    if not is_number(line.texts[0]):
        return None
    unit = line.texts[1].lower() if len(line.texts) > 1 else "bytes"
    return int(float(line.texts[0]) * _UNITS_BYTES.get(unit, 1))
