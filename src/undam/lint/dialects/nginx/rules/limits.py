"""Rules NGX401-NGX402: timeouts that cut off slow streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.routes import NginxRoute
from undam.lint.dialects.nginx.times import seconds_of
from undam.lint.limits import ExpectedSilence, nginx_limit
from undam.rules import Severity

READ_TIMEOUT = ConfigRule(
    code="NGX401",
    slug="read-timeout-near-heartbeat",
    severity=Severity.WARNING,
    message="{directive} is {limit} s, {expected}: the stream is cut after a longer silence",
    safety=Safety.SAFE,
    what="""
        nginx ends a response when the upstream has sent nothing for the duration of the read
        timeout.
    """,
    why="""
        During a long prefill or a tool call, a model may send nothing for a minute or more. With
        buffering over HTTP/1.0, the cut also discards the tokens that nginx had already received.
    """,
    detection="""
        The limit in force on a streaming route, 60 s by default, is below the expected silence
        (setting `silence`, 300 s by default). Heartbeats may be known from the setting `heartbeat`,
        or from engine flags in a neighbouring file. In that case, the limit is compared with twice
        the heartbeat interval instead. If the heartbeat interval is known, a limit of at most one
        heartbeat interval is an error, and a higher limit is a warning. A limit of 0 is always an
        error, because it does not mean that there is no limit.
    """,
    measured="""
        nginx 1.22.1 cut a silent stream after 60.06 s; a comment every second kept it open. With
        `proxy_read_timeout 0`, nginx answered 504 after 4 ms, before the origin sent anything.
    """,
    fix="""
        Raise the read timeout in the location that streams.

            proxy_read_timeout 3600s;

        nginx detects a crashed origin process immediately, because the crash closes the connection.
        Only the loss of a whole host is detected after the limit. If the origin sends heartbeats,
        the limit can stay short.
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, "
        "proxy_read_timeout"
    ),
)
SEND_TIMEOUT = ConfigRule(
    code="NGX402",
    slug="short-send-timeout",
    severity=Severity.INFO,
    message="send_timeout {limit} s: nginx disconnects a client that reads nothing for this long",
    safety=Safety.UNSAFE,
    what="""
        nginx disconnects a client that reads nothing for the duration of `send_timeout` while data
        is waiting to be sent.
    """,
    why="""
        A phone that changes networks, or a busy page, may stop reading for several seconds. Its
        answer is then truncated. Heartbeats do not help, because they cannot be sent while the
        client does not read.
    """,
    detection="`send_timeout` is set to 10 s or less on a streaming route; the default is 60 s.",
    measured="""
        nginx 1.22.1 with `send_timeout 2s`: a reader that paused for 4 s in a long stream received
        a truncated stream. With `send_timeout 60s`, the reader received the whole stream.
    """,
    fix="""
        Raise `send_timeout`, but keep a limit, because it also protects against clients that never
        read.

            send_timeout 60s;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_core_module, send_timeout",
)

RULES = (READ_TIMEOUT, SEND_TIMEOUT)

_SHORT_SEND_S = 10.0


def find(route: NginxRoute, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    """Find limits that are too short; at most one of each kind is reported."""
    directive = f"{route.protocol}_read_timeout"
    limit = seconds_of(route.scope.value(directive, "60s"))
    severity, expected = (None, "") if limit is None else nginx_limit(limit, silence)
    if severity is not None:
        yield route.set_value(directive, "3600s").diagnostic(
            READ_TIMEOUT,
            severity=severity,
            directive=directive,
            limit=f"{limit:g}",
            expected=expected,
        )
    send_limit = seconds_of(route.scope.value("send_timeout", "60s"))
    if send_limit is not None and send_limit <= _SHORT_SEND_S:
        placement = route.set_value("send_timeout", "60s")
        yield placement.diagnostic(SEND_TIMEOUT, limit=f"{send_limit:g}")
