"""ENV401-ENV406: limits on the duration and the silence of a stream."""

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
    message="this route has no timeout of its own, so Envoy cuts each response after 15 s",
    safety=Safety.SAFE,
    what="A route without `timeout` has a timeout of 15 s for the whole response.",
    why="""
        A longer stream is cut while tokens are still arriving, and heartbeats do not prevent it.
    """,
    detection="The route leads to a cluster, streams, and has no `timeout`.",
    measured="""
        Envoy 1.39 and 1.40: events and comments arrived until 15 s, then the connection was closed.
    """,
    fix="""
        Remove the timeout. The limit on silence (stream_idle_timeout, 5 min) stays in force.

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
    message="timeout {limit} limits the whole response; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        The `timeout` of a route covers the whole response, from the end of the request to the last
        byte.
    """,
    why="""
        A longer stream is cut while tokens are still arriving, and heartbeats do not prevent it.
    """,
    detection="""
        The route streams, and its `timeout` is above 0 and below one hour. Up to one minute it is
        an error, because long answers take longer; above, a warning.
    """,
    measured="""
        Envoy 1.40 with 2s cut the response 3.0 s after the request, truncated, while events arrived
        every 100 ms.
    """,
    fix="""
        Remove the limit unless it was set for another reason. Silence is still limited by
        stream_idle_timeout.

            timeout: 0s
    """,
    source="measured on loopback with Envoy 1.40; envoyproxy.io, RouteAction.timeout",
)

MAX_DURATION = ConfigRule(
    code="ENV403",
    slug="max-stream-duration",
    severity=Severity.ERROR,
    message="max_stream_duration {limit} cuts each stream after that time; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `max_stream_duration` limits the duration of a stream. It can be set at the connection
        manager, at the route or at the cluster.
    """,
    why="""
        A longer stream is cut while tokens are still arriving, and heartbeats do not prevent it.
    """,
    detection="""
        The limit applies to a streaming route, and is above 0 and below one hour. Up to one minute
        it is reported as an error; above that, as a warning. The value of a route takes precedence
        over that of the connection manager.
    """,
    measured="""
        Envoy 1.40 with 2s in each of the three places cut the stream after 3.0 s. A route's 0s took
        precedence over the connection manager's 2s.
    """,
    fix="""
        Remove the limit unless it was set for another reason. Set at the route, this affects only
        that route. The limit of a cluster can only be removed at the cluster.

            max_stream_duration:
              max_stream_duration: 0s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, "
        "HttpProtocolOptions.max_stream_duration, RouteAction.MaxStreamDuration, "
        "How do I configure timeouts?"
    ),
)

IDLE = ConfigRule(
    code="ENV404",
    slug="stream-idle-timeout",
    severity=Severity.ERROR,
    message=("{setting} {limit} cuts a stream that is silent for that long ({expected})"),
    safety=Safety.SAFE,
    what="""
        `stream_idle_timeout` of the connection manager (5 min by default), or the `idle_timeout` of
        a route instead, ends a stream without activity.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        The limit of a streaming route is below the expected silence (setting `silence`, 300 s by
        default). If heartbeats are known, the limit is below two heartbeat intervals instead. Up to
        one interval it is reported as an error; above that, as a warning.
    """,
    measured="""
        Envoy 1.40 with 2s in either place cut the stream 3.0 s after the last byte. A route's 60s
        took precedence over the connection manager's 2s.
    """,
    fix="""
        Raise the limit of the route, or send heartbeats more often.

            route:
              idle_timeout: 3600s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, stream_idle_timeout and "
        "RouteAction.idle_timeout, How do I configure timeouts?"
    ),
)

TRY_IDLE = ConfigRule(
    code="ENV405",
    slug="per-try-idle-timeout",
    severity=Severity.ERROR,
    message=(
        "per_try_idle_timeout {limit} cuts a stream that is silent for that long ({expected})"
    ),
    safety=Safety.UNSAFE,
    what="""
        `per_try_idle_timeout` of a retry policy ends an attempt that has been idle for this time.
        It also applies after the response has begun.
    """,
    why="""
        A stream that has begun cannot be retried, so the client receives a truncated response.
    """,
    detection="""
        The retry policy of a streaming route, or of its virtual host, has a limit below the
        expected silence (setting `silence`, 300 s by default). If heartbeats are known, the limit
        is below two heartbeat intervals instead. Up to one interval it is reported as an error;
        above that, as a warning.
    """,
    measured="""
        Envoy 1.40 with 2s, with and without retry_on, cut the stream 3.0 s after the last byte.
    """,
    fix="""
        Raise the limit unless it was set for another reason.

            per_try_idle_timeout: 3600s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, RetryPolicy.per_try_idle_timeout, "
        "How do I configure timeouts?"
    ),
)

TRY = ConfigRule(
    code="ENV406",
    slug="per-try-timeout",
    severity=Severity.WARNING,
    message="per_try_timeout {limit} aborts a request whose response head comes later",
    safety=Safety.UNSAFE,
    what="""
        `per_try_timeout` aborts an attempt whose response has not begun, and retries the request if
        the retry policy allows it.
    """,
    why="""
        Many servers send the response head with the first token. A long prefill then ends in a 504,
        or the model processes the whole prompt again for each attempt, which adds to the load that
        made it slow.
    """,
    detection="""
        The retry policy of a streaming route, or of its virtual host, has a limit below one minute.
        The limit does not cut a response that has begun.
    """,
    measured="""
        Envoy 1.40 with 1s, in front of a server whose head comes after 2.5 s: 504; with 0s it
        streamed. Once the head had passed, 2s did not cut a stream of 6 s.
    """,
    fix="""
        Remove the limit unless it was set for another reason.

            per_try_timeout: 0s
    """,
    source=(
        "measured on loopback with Envoy 1.40; envoyproxy.io, RetryPolicy.per_try_timeout, "
        "How do I configure timeouts?"
    ),
)

RULES = (DEFAULT_TIMEOUT, TIMEOUT, MAX_DURATION, IDLE, TRY_IDLE, TRY)

_DEFAULT_IDLE_S = 300.0
# If the head takes a minute, the cause is not the model.
_SLOW_HEAD_S = 60.0
_NONE, _LONG = "0s", "3600s"


@dataclass(frozen=True, slots=True)
class _EnvoyLimit:
    """A limit and its position."""

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
    """Find limits that end the streams of a route too early."""
    yield from _timeout(route, source)
    yield from _max_duration(manager, route, source)
    yield from _idle(manager, route, source, silence)
    yield from _tries(route, source, silence)


def unread_limits(route: EnvoyRoute, source: Source) -> Iterator[UnreadPart]:
    """Yield the limits of a route that are not valid durations."""
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
