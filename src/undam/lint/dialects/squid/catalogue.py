"""The rules of squid.conf, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with squid 5.7"

THROTTLED = ConfigRule(
    code="SQD101",
    slug="stream-in-a-delay-pool",
    severity=Severity.WARNING,
    message="delay pool {pool} lets {rate} bytes a second pass, less than many streams have",
    safety=Safety.NONE,
    what="""
        A delay pool hands on so many bytes a second, of all clients or of each, as its class says.
    """,
    why="""
        One chat chunk has about 250 bytes, so a model with 50 tokens a second needs 12 KB/s for
        each reader. What the pool does not let pass waits, and the tokens come in bursts.
    """,
    detection="""
        `delay_parameters` of a pool that a streaming service falls into has a rate below 16 KB/s,
        and no `delay_access` of the pool begins with a deny.
    """,
    measured="""
        squid 5.7 with `delay_parameters 1 4000/4000`, 150 events of 270 bytes, 10 ms apart: they
        came 3 s late and in bursts.
    """,
    fix="""
        None is made, for it needs an acl of your own. Take the streams out before others are let
        in:
            acl streams urlpath_regex ^/v1/
            delay_access 1 deny streams
    """,
    source=_MEASURED + "; squid.conf.documented, delay_parameters",
)

READ_TIMEOUT = ConfigRule(
    code="SQD401",
    slug="short-read-timeout",
    severity=Severity.WARNING,
    message=(
        "a stream that is silent for {limit} is cut: less than two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        `read_timeout` (15 minutes by default) ends a response whose origin is silent for so long.
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent, and the client gets a
        truncated stream. One heartbeat that is lost or late must not be enough for that.
    """,
    detection="""
        The limit is below twice the heartbeat interval of the settings (15 s unless they say
        otherwise), in a Squid that streams pass; an error if it is no longer than one interval.
    """,
    measured="""
        squid 5.7 with `read_timeout 2 seconds` cut a stream in a silence of 4.5 s; a comment each
        0.5 s kept it alive.
    """,
    fix="""
        An hour. Unsafe: it holds for every origin, and a dead one is noticed as late as that.
            read_timeout 1 hour
    """,
    source=_MEASURED + "; squid.conf.documented, read_timeout",
)

LIFETIME = ConfigRule(
    code="SQD402",
    slug="short-client-lifetime",
    severity=Severity.WARNING,
    message="every stream is cut {limit} after its client connected, heartbeats or not",
    safety=Safety.UNSAFE,
    what="`client_lifetime` (a day by default) is the time that a client may stay connected.",
    why="It ends a response in the middle, however lively it is; heartbeats do not help.",
    detection="""
        The limit is below an hour, in a Squid that streams pass; an error if it is no longer than a
        minute.
    """,
    measured="""
        squid 5.7 with `client_lifetime 2 seconds` cut a stream that carried a comment each 0.5 s.
    """,
    fix="""
        Squid's own value. Unsafe: it holds for every client.
            client_lifetime 1 day
    """,
    source=_MEASURED + "; squid.conf.documented, client_lifetime",
)

BODY_SIZE = ConfigRule(
    code="SQD403",
    slug="reply-size-limit-on-streams",
    severity=Severity.WARNING,
    message="a stream of more than {limit} is cut in the middle: reply_body_max_size",
    safety=Safety.NONE,
    what="""
        `reply_body_max_size` ends a response that grows beyond it; a stream tells no length before.
    """,
    why="""
        A long answer is cut in the middle, with its headers and status long sent. One of 4000
        tokens has a megabyte in the chunks of the OpenAI form.
    """,
    detection="""
        A limit below 8 MB for all, or for an acl that is not one of streaming paths, in a Squid
        that streams pass; `none` for them above it takes it back.
    """,
    measured="squid 5.7 with `reply_body_max_size 4 KB` cut a stream of 40 KB.",
    fix="""
        None is made, for it needs an acl of your own. The first line that matches counts:
            acl streams urlpath_regex ^/v1/
            reply_body_max_size none streams
    """,
    source=_MEASURED + "; squid.conf.documented, reply_body_max_size",
)

RULES = (THROTTLED, READ_TIMEOUT, LIFETIME, BODY_SIZE)
