"""Rules LTD401-LTD402: timeouts that cut off idle streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.lighttpd.parser import LighttpdConfig, number_or_default
from undam.lint.dialects.lighttpd.routes import (
    LighttpdRoute,
    effective,
    numbers_of,
    set_for_route,
    under_other_conditions,
)
from undam.lint.limits import ExpectedSilence
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit

WRITE_IDLE = ConfigRule(
    code="LTD401",
    slug="short-max-write-idle",
    severity=Severity.WARNING,
    message="a stream is cut after {limit} s of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        If nothing is written to a client for the duration of `server.max-write-idle` (360 s by
        default), lighttpd ends the response. While the origin of a stream is silent, nothing is
        written.
    """,
    why="""
        A model that is reasoning, queued or calling a tool sends nothing, so the limit expires and
        the client receives a truncated stream.
    """,
    detection="""
        The idle limit of a streaming route is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, the limit is compared with twice that
        interval instead. If the heartbeat interval is known, a limit of at most one heartbeat
        interval is an error, and a higher limit is a warning.
    """,
    measured="""
        lighttpd 1.4.69 with a limit of 2 s closed a stream that was silent for 4.5 s; a comment
        every 0.5 s kept it open. `server.max-read-idle` did not cut the stream.
    """,
    fix="""
        Set `server.max-write-idle` to one hour, inside the conditions of the streaming route. A
        client that has stopped reading then keeps its connection for up to one hour.

            server.max-write-idle = 3600
    """,
    source=("measured on loopback with lighttpd 1.4.69; redmine.lighttpd.net, Docs_ResourceTuning"),
)

READ_TIMEOUT = ConfigRule(
    code="LTD402",
    slug="short-backend-read-timeout",
    severity=Severity.WARNING,
    message="lighttpd disconnects the backend after {limit} s of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        lighttpd ends a response when the backend has sent nothing for the duration of
        "read-timeout". This option belongs to a server in `proxy.server`. Without "read-timeout",
        lighttpd does not limit the wait for a backend.
    """,
    why="""
        A model that is reasoning, queued or calling a tool sends nothing, so the limit expires and
        the client receives a truncated stream.
    """,
    detection="""
        The "read-timeout" of a server on a streaming route is below the expected silence (setting
        `silence`, 300 s by default). If the heartbeat interval is known, the limit is compared with
        twice that interval instead. If the heartbeat interval is known, a limit of at most one
        heartbeat interval is an error, and a higher limit is a warning.
    """,
    measured="""
        lighttpd 1.4.69 with a timeout of 2 s closed a stream that was silent for 4.5 s; a comment
        every 0.5 s kept it open. The option "write-timeout" did not cut the stream.
    """,
    fix="""
        Set "read-timeout" to one hour. With a longer limit, a dead backend is detected later.

            "read-timeout" => 3600
    """,
    source="measured on loopback with lighttpd 1.4.69; redmine.lighttpd.net, Docs_ModProxy",
)

RULES = (WRITE_IDLE, READ_TIMEOUT)

_WRITE_IDLE = "server.max-write-idle"
_LONG_S = 3600


def find(route: LighttpdRoute, config: LighttpdConfig, settings: Settings) -> Iterator[Diagnostic]:
    """Find idle timeouts on a route that are shorter than the expected idle periods."""
    yield from _find_read_timeouts(route, settings.silence)
    yield from _find_write_idle(route, config, settings)


def _find_read_timeouts(route: LighttpdRoute, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    for limit, token in numbers_of(route.relay, "read-timeout"):
        severity = silence.severity(limit)
        if severity is not None:
            yield diagnostic_at(
                READ_TIMEOUT,
                route.relay.source,
                token.span,
                Edit(*token.span, str(_LONG_S)),
                severity=severity,
                limit=limit,
                expected=silence.reason,
            )


def _find_write_idle(
    route: LighttpdRoute, config: LighttpdConfig, settings: Settings
) -> Iterator[Diagnostic]:
    relay, silence = route.relay, settings.silence
    current = effective(config, _WRITE_IDLE, relay)
    limit = number_or_default(current) or 0
    severity = silence.severity(limit)
    if current is None or severity is None:
        return
    others = under_other_conditions(config, _WRITE_IDLE, relay, settings.hints)
    limits = [number_or_default(one) or 0 for one in others]
    if any(silence.severity(other) is None for other in limits):
        return
    change = set_for_route(route, _WRITE_IDLE, _LONG_S, current)
    # A diagnostic must be in the file that its edits change.
    if not change.changes_current and current.source.path != relay.source.path:
        span, source = relay.name_span, relay.source
    else:
        span, source = current.span, current.source
    yield diagnostic_at(
        WRITE_IDLE,
        source,
        span,
        *change.edits,
        severity=severity,
        limit=limit,
        expected=silence.reason,
    )
