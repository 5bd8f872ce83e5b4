"""Rules ENV401-ENV406: limits on the duration and on the idle time of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.envoy.parser import field, field_entry, seconds_of
from undam.lint.dialects.envoy.routes import ConnectionManager, EnvoyRoute, cluster_options
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node
from undam.textfiles.tree_edit import insert_entry, replace_value

DEFAULT_TIMEOUT = ConfigRule(
    code="ENV401",
    slug="route-timeout-default",
    severity=Severity.ERROR,
    message="this route has no timeout of its own, so Envoy cuts off each response after 15 s",
    safety=Safety.SAFE,
    what="If a route does not set `timeout`, Envoy limits the whole response to 15 s.",
    why="""
        A longer stream is cut off while tokens are still arriving; heartbeats do not
        help.
    """,
    detection="A streaming route forwards to a cluster and does not set `timeout`.",
    measured="""
        Envoy 1.39 and 1.40: events and comments arrived for 15 s, and then the connection was
        closed.
    """,
    fix="""
        Set `timeout: 0s`, which disables the timeout. The idle limit (`stream_idle_timeout`, 5 min)
        stays in force.

            route:
              cluster: llm
              timeout: 0s
    """,
    source="measured on loopback with Envoy 1.39 and 1.40; envoyproxy.io, RouteAction.timeout",
)

TIMEOUT = ConfigRule(
    code="ENV402",
    slug="route-timeout",
    severity=Severity.ERROR,
    message="a timeout of {limit} covers the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        The `timeout` of a route covers the whole response, from the end of the request to the last
        byte.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving; heartbeats do not
        help.
    """,
    detection="""
        A streaming route has a `timeout` above 0 and below one hour. A limit of up to one minute is
        an error, because long answers exceed it. A longer limit is a warning.
    """,
    measured="""
        Envoy 1.40 with a timeout of 2s truncated the response 3.0 s after the request, although
        events arrived every 100 ms.
    """,
    fix="""
        Remove the limit unless you need it for another purpose. The idle limit
        (`stream_idle_timeout`) stays in force.

            timeout: 0s
    """,
    source="measured on loopback with Envoy 1.40; envoyproxy.io, RouteAction.timeout",
)

MAX_DURATION = ConfigRule(
    code="ENV403",
    slug="max-stream-duration",
    severity=Severity.ERROR,
    message="max_stream_duration cuts each stream after {limit}; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `max_stream_duration` limits the duration of a stream and can be set on the connection
        manager, the route or the cluster.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving; heartbeats do not
        help.
    """,
    detection="""
        `max_stream_duration` applies to a streaming route and is above 0 and below one hour. A
        limit of up to one minute is reported as an error, and a longer limit as a warning. The
        `max_stream_duration` of a route takes precedence over that of the connection manager.
    """,
    measured="""
        Envoy 1.40 with a limit of 2s on the connection manager, the route or the cluster cut the
        stream after 3.0 s. A limit of 0s on the route took precedence over 2s on the connection
        manager.
    """,
    fix="""
        Remove the limit unless you need it for another purpose. A value on the route affects only
        that route. A limit on a cluster can be removed only in the cluster configuration.

            max_stream_duration:
              max_stream_duration: 0s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, "
        'HttpProtocolOptions.max_stream_duration, RouteAction.MaxStreamDuration, "How do I '
        'configure timeouts?"'
    ),
)

IDLE = ConfigRule(
    code="ENV404",
    slug="stream-idle-timeout",
    severity=Severity.ERROR,
    message="{setting} is {limit}, {expected}: the stream is cut after a longer silence",
    safety=Safety.SAFE,
    what="""
        The connection manager's `stream_idle_timeout` (5 min by default) ends an inactive stream. A
        route's `idle_timeout` overrides `stream_idle_timeout`.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        The idle limit of a streaming route is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, an idle limit of at most one interval is an
        error. A limit between one and two intervals is a warning.
    """,
    measured="""
        Envoy 1.40 with either limit set to 2s cut the stream 3.0 s after the last byte. A limit of
        60s on the route took precedence over 2s on the connection manager.
    """,
    fix="""
        Raise the route's limit, or send heartbeats more often.

            route:
              idle_timeout: 3600s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, stream_idle_timeout and "
        'RouteAction.idle_timeout, "How do I configure timeouts?"'
    ),
)

TRY_IDLE = ConfigRule(
    code="ENV405",
    slug="per-try-idle-timeout",
    severity=Severity.ERROR,
    message="per_try_idle_timeout is {limit}, {expected}: the stream is cut after a longer silence",
    safety=Safety.UNSAFE,
    what="""
        A retry policy's `per_try_idle_timeout` limits how long an attempt may be idle, even after
        the response has begun.
    """,
    why="""
        A stream that has begun cannot be retried, so the client receives a truncated response.
    """,
    detection="""
        The retry policy of a streaming route, or of its virtual host, sets `per_try_idle_timeout`
        below the expected silence (setting `silence`, 300 s by default). If the heartbeat interval
        is known, an idle limit of at most one interval is an error. A longer limit below two
        intervals is a warning.
    """,
    measured="""
        Envoy 1.40 with a limit of 2s cut the stream 3.0 s after the last byte, with and without
        `retry_on`.
    """,
    fix="""
        Raise the limit unless you need it for another purpose.

            per_try_idle_timeout: 3600s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, RetryPolicy.per_try_idle_timeout, "
        '"How do I configure timeouts?"'
    ),
)

TRY = ConfigRule(
    code="ENV406",
    slug="per-try-timeout",
    severity=Severity.WARNING,
    message="per_try_timeout aborts a request whose response head takes longer than {limit}",
    safety=Safety.UNSAFE,
    what="""
        If the response does not begin within `per_try_timeout`, Envoy aborts the attempt. Envoy
        then retries the request if the retry policy allows a retry.
    """,
    why="""
        Many servers send the response head together with the first token. If the prefill takes
        longer than the limit, the request ends in a 504 or is retried. Each retry repeats the whole
        prefill and increases the load.
    """,
    detection="""
        The retry policy of a streaming route, or of its virtual host, sets `per_try_timeout` below
        one minute. `per_try_timeout` does not cut a response that has begun.
    """,
    measured="""
        Envoy 1.40 with a limit of 1s returned a 504 when the response head took 2.5 s. With a limit
        of 0s, the response streamed. Once the head had arrived, a limit of `2s` did not end a 6 s
        stream.
    """,
    fix="""
        Remove the limit unless you need it for another purpose.

            per_try_timeout: 0s
    """,
    source=(
        'measured on loopback with Envoy 1.40; envoyproxy.io, RetryPolicy.per_try_timeout, "How do '
        'I configure timeouts?"'
    ),
)

RULES = (DEFAULT_TIMEOUT, TIMEOUT, MAX_DURATION, IDLE, TRY_IDLE, TRY)

_DEFAULT_IDLE_S = 300.0
# Model servers send the response headers within a minute, so a longer limit does no harm.
_SLOW_HEAD_S = 60.0
_NONE, _LONG = "0s", "3600s"


@dataclass(frozen=True, slots=True)
class _EnvoyLimit:
    """A limit and its position in the configuration."""

    entry: Entry
    limit_s: float

    @property
    def span(self) -> tuple[int, int]:
        return self.entry.key.start, self.entry.key.end

    @property
    def written(self) -> str:
        return f"{self.limit_s:g}s"


def _limit(node: Node | None, name: str) -> _EnvoyLimit | None:
    entry = field_entry(node, name)
    limit_s = seconds_of(entry.value) if entry else None
    return None if entry is None or limit_s is None else _EnvoyLimit(entry, limit_s)


def find(
    manager: ConnectionManager, route: EnvoyRoute, source: Source, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Find limits on a route that end its streams too early."""
    yield from _timeout(route, source)
    yield from _max_duration(manager, route, source)
    yield from _idle(manager, route, source, silence)
    yield from _tries(route, source, silence)


def unread_limits(route: EnvoyRoute, source: Source) -> Iterator[UnreadPart]:
    """Yield the limits on a route that are not valid durations."""
    for name in ("timeout", "idle_timeout"):
        entry = field_entry(route.action, name)
        if entry is not None and seconds_of(entry.value) is None:
            line, _ = source.position(entry.key.start)
            yield UnreadPart(source.path, line, f"the duration of {name}")


def _timeout(route: EnvoyRoute, source: Source) -> Iterator[Diagnostic]:
    if field_entry(route.action, "timeout") is None:
        edit = insert_entry(source, route.action, "timeout", _NONE)
        span = route.entry.key.start, route.entry.key.end
        yield diagnostic_at(DEFAULT_TIMEOUT, source, span, *_existing(edit))
        return
    limit = _limit(route.action, "timeout")
    severity = total_limit_severity(limit.limit_s) if limit else None
    if limit and severity:
        yield _too_short(TIMEOUT, source, limit, severity, _set(source, limit, _NONE))


def _max_duration(
    manager: ConnectionManager, route: EnvoyRoute, source: Source
) -> Iterator[Diagnostic]:
    name = "max_stream_duration"
    own = _limit(field(route.action, name), name)
    shared = _limit(field(manager.node, "common_http_protocol_options"), name)
    limit = own or shared
    severity = total_limit_severity(limit.limit_s) if limit else None
    if limit and severity:
        edit = _set(source, limit, _NONE) if own else _free(source, route, name)
        yield _too_short(MAX_DURATION, source, limit, severity, edit)
    for cluster in route.clusters:
        limit = _limit(cluster_options(cluster), name)
        severity = total_limit_severity(limit.limit_s) if limit else None
        if limit and severity:
            edit = _set(source, limit, _NONE)
            yield _too_short(MAX_DURATION, source, limit, severity, edit)


def find_shared(manager: ConnectionManager, source: Source) -> Iterator[Diagnostic]:
    """Find a limit on the duration of all streams of a connection manager."""
    name = "max_stream_duration"
    limit = _limit(field(manager.node, "common_http_protocol_options"), name)
    severity = total_limit_severity(limit.limit_s) if limit else None
    if limit and severity:
        yield _too_short(MAX_DURATION, source, limit, severity, None)


def _free(source: Source, route: EnvoyRoute, name: str) -> Edit | None:
    existing = field_entry(route.action, name)
    if existing is not None:
        return insert_entry(source, existing.value, name, _NONE)
    spelled = route.spelled(name)
    return insert_entry(source, route.action, spelled, {spelled: _NONE})


def _idle(
    manager: ConnectionManager, route: EnvoyRoute, source: Source, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    if field_entry(route.action, "idle_timeout") is not None:
        field_name = "idle_timeout"
        limit = _limit(route.action, field_name)
        edit = _set(source, limit, _LONG) if limit else None
    else:
        field_name = "stream_idle_timeout"
        edit = insert_entry(source, route.action, route.spelled("idle_timeout"), _LONG)
        limit = _limit(manager.node, field_name)
        if limit is None and field_entry(manager.node, field_name) is None:
            limit = _EnvoyLimit(route.entry, _DEFAULT_IDLE_S)
    severity = silence.severity(limit.limit_s) if limit else None
    if limit and severity:
        yield _too_short(
            IDLE, source, limit, severity, edit, setting=field_name, expected=silence.reason
        )


def _tries(route: EnvoyRoute, source: Source, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    own = field(route.action, "retry_policy")
    policy = own or field(route.around[0], "retry_policy")
    idle = _limit(policy, "per_try_idle_timeout")
    severity = silence.severity(idle.limit_s) if idle else None
    if idle and severity:
        edit = _set(source, idle, _LONG)
        yield _too_short(TRY_IDLE, source, idle, severity, edit, expected=silence.reason)
    head = _limit(policy, "per_try_timeout")
    if head and 0 < head.limit_s < _SLOW_HEAD_S:
        yield _too_short(TRY, source, head, TRY.severity, _set(source, head, _NONE))


def _too_short(
    rule: ConfigRule,
    source: Source,
    limit: _EnvoyLimit,
    severity: Severity,
    edit: Edit | None,
    **evidence: object,
) -> Diagnostic:
    return diagnostic_at(
        rule,
        source,
        limit.span,
        *_existing(edit),
        severity=severity,
        limit=limit.written,
        **evidence,
    )


def _set(source: Source, limit: _EnvoyLimit, text: str) -> Edit | None:
    return replace_value(source, limit.entry.value, text)


def _existing(edit: Edit | None) -> tuple[Edit, ...]:
    return (edit,) if edit else ()
