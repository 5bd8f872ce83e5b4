"""The rules of squid.conf, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with squid 5.7"

THROTTLED = ConfigRule(
    "SQD101",
    "stream-in-a-delay-pool",
    Severity.WARNING,
    "delay pool {pool} lets {rate} bytes a second pass, less than many streams have",
    """\
What: a delay pool hands on so many bytes a second, of all clients or of each, as its class says.
Why it hurts: one chat chunk has about 250 bytes, so a model with 50 tokens a second needs 12 KB/s
for each reader. What the pool does not let pass waits, and the tokens come in bursts.
How it is told: `delay_parameters` of a pool that a streaming service falls into has a rate below
16 KB/s, and no `delay_access` of the pool begins with a deny.
Fix: none is made, for it needs an acl of your own. Take the streams out before others are let in:
    acl streams urlpath_regex ^/v1/
    delay_access 1 deny streams
Measured: squid 5.7 with `delay_parameters 1 4000/4000`, 150 events of 270 bytes, 10 ms apart: they
came 3 s late and in bursts.
Source: squid.conf.documented, delay_parameters.
""",
    Safety.NONE,
    _MEASURED + "; squid.conf.documented, delay_parameters",
)

READ_TIMEOUT = ConfigRule(
    "SQD401",
    "short-read-timeout",
    Severity.WARNING,
    "a stream that is silent for {limit} is cut: less than two heartbeats of {heartbeat:g} s",
    """\
What: `read_timeout` (15 minutes by default) ends a response whose origin is silent for so long.
Why it hurts: a model that thinks, waits in a queue or calls a tool is silent, and the client gets
a truncated stream. One heartbeat that is lost or late must not be enough for that.
How it is told: the limit is below twice the heartbeat interval of the settings (15 s unless they
say otherwise), in a Squid that streams pass; an error if it is no longer than one interval.
Fix: an hour. Unsafe: it holds for every origin, and a dead one is noticed as late as that.
    read_timeout 1 hour
Measured: squid 5.7 with `read_timeout 2 seconds` cut a stream in a silence of 4.5 s; a comment
each 0.5 s kept it alive.
Source: squid.conf.documented, read_timeout.
""",
    Safety.UNSAFE,
    _MEASURED + "; squid.conf.documented, read_timeout",
)

LIFETIME = ConfigRule(
    "SQD402",
    "short-client-lifetime",
    Severity.WARNING,
    "every stream is cut {limit} after its client connected, heartbeats or not",
    """\
What: `client_lifetime` (a day by default) is the time that a client may stay connected.
Why it hurts: it ends a response in the middle, however lively it is; heartbeats do not help.
How it is told: the limit is below an hour, in a Squid that streams pass; an error if it is no
longer than a minute.
Fix: Squid's own value. Unsafe: it holds for every client.
    client_lifetime 1 day
Measured: squid 5.7 with `client_lifetime 2 seconds` cut a stream that carried a comment each 0.5 s.
Source: squid.conf.documented, client_lifetime.
""",
    Safety.UNSAFE,
    _MEASURED + "; squid.conf.documented, client_lifetime",
)

BODY_SIZE = ConfigRule(
    "SQD403",
    "reply-size-limit-on-streams",
    Severity.WARNING,
    "a stream of more than {limit} is cut in the middle: reply_body_max_size",
    """\
What: `reply_body_max_size` ends a response that grows beyond it; a stream tells no length before.
Why it hurts: a long answer is cut in the middle, with its headers and status long sent. One of
4000 tokens has a megabyte in the chunks of the OpenAI form.
How it is told: a limit below 8 MB for all, or for an acl that is not one of streaming paths, in a
Squid that streams pass; `none` for them above it takes it back.
Fix: none is made, for it needs an acl of your own. The first line that matches counts:
    acl streams urlpath_regex ^/v1/
    reply_body_max_size none streams
Measured: squid 5.7 with `reply_body_max_size 4 KB` cut a stream of 40 KB.
Source: squid.conf.documented, reply_body_max_size.
""",
    Safety.NONE,
    _MEASURED + "; squid.conf.documented, reply_body_max_size",
)

RULES = (THROTTLED, READ_TIMEOUT, LIFETIME, BODY_SIZE)
