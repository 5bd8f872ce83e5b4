"""The rules of Envoy's configuration, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with Envoy 1.40"
_FAQ = "envoyproxy.io, How do I configure timeouts?"

LUA_BODY = ConfigRule(
    code="ENV101",
    slug="lua-reads-body",
    severity=Severity.ERROR,
    message="the Lua filter reads the response's body with {how}, so Envoy holds the whole stream",
    safety=Safety.UNSAFE,
    what="`body()` in `envoy_on_response` waits until Envoy has the whole body.",
    why="Nothing reaches the reader before the model has finished, not even the head.",
    detection="""
        The code of a Lua filter calls `body()` on the handle of `envoy_on_response`, and a
        streaming route of the same listener does not switch the filter off.
    """,
    measured="""
        Envoy 1.40, 300 events 5 ms apart: all came together at the end; switched off, or with
        bodyChunks(), each came at once.
    """,
    fix="""
        Unsafe; it switches the filter off on the streaming routes, so whatever else it does there
        is gone, too. `bodyChunks()` reads a stream without holding it, if the code can work in
        pieces.
            typed_per_filter_config:
              envoy.filters.http.lua:
                "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                disabled: true
    """,
    source=_MEASURED + "; envoyproxy.io, Lua filter",
)

EXT_PROC_BODY = ConfigRule(
    code="ENV102",
    slug="ext-proc-buffers-response",
    severity=Severity.ERROR,
    message="response_body_mode {how} collects the response before the external processor sees it",
    safety=Safety.UNSAFE,
    what="""
        In the modes BUFFERED and BUFFERED_PARTIAL Envoy collects the body, whole or up to the
        buffer's limit, and only then sends it to the processor.
    """,
    why="The stream stands still until the model has finished.",
    detection="""
        An ext_proc filter has one of these modes for the response, and a streaming route of the
        same listener has no setting of its own for the filter.
    """,
    measured="""
        Envoy 1.40, 300 events 5 ms apart: head after 1 ms, all events together at the end, in both
        modes, even with the processor away and failure_mode_allow; switched off: each at once.
    """,
    fix="""
        Unsafe; it switches the filter off on the streaming routes, and what the processor guards is
        then unguarded there. A processor that can work in pieces takes `response_body_mode:
        STREAMED` or FULL_DUPLEX_STREAMED instead.
    """,
    source=_MEASURED + "; envoyproxy.io, ext_proc ProcessingMode",
)

FILE_BUFFER = ConfigRule(
    code="ENV103",
    slug="file-system-buffer",
    severity=Severity.ERROR,
    message="the file system buffer collects the whole response ({how})",
    safety=Safety.UNSAFE,
    what="""
        `fully_buffer` and `fully_buffer_and_always_inject_content_length` collect the whole
        response in memory and on disk before the first byte leaves.
    """,
    why="Nothing reaches the reader before the model has finished.",
    detection="""
        A file_system_buffer filter has such a behavior for the response, and a streaming route of
        the same listener has no setting of its own for it.
    """,
    measured="Envoy 1.40, 300 events 5 ms apart: all came together at the end.",
    fix="""
        Unsafe; it switches the filter off on the streaming routes, for their requests, too.
            typed_per_filter_config:
              envoy.filters.http.file_system_buffer:
                "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                disabled: true
    """,
    source=_MEASURED + "; envoyproxy.io, BufferBehavior",
)

ZSTD = ConfigRule(
    code="ENV104",
    slug="zstd-event-stream",
    severity=Severity.ERROR,
    message="{how} compresses text/event-stream and flushes only at the end",
    safety=Safety.SAFE,
    what="Envoy's zstd compressor keeps what it has compressed until its block is full.",
    why="The head comes at once, then nothing until the model has finished.",
    detection="""
        A compressor filter with the zstd library names text/event-stream among its content types,
        and a streaming route of the same listener has no setting of its own for it.
    """,
    measured="""
        Envoy 1.40, 300 events 5 ms apart, a client that accepts zstd: all came together at the end;
        gzip and brotli: each at once.
    """,
    fix="""
        Safe; it switches compression off on the streaming routes alone. `Cache-Control:
        no-transform` from the origin does the same, and gzip and brotli flush each event.
            typed_per_filter_config:
              envoy.filters.http.compressor:
                "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                disabled: true
    """,
    source=_MEASURED,
)

GZIP = ConfigRule(
    code="ENV105",
    slug="compressed-event-stream",
    severity=Severity.INFO,
    message="{how} compresses text/event-stream: it flushes each event, so nothing is held here",
    safety=Safety.NONE,
    what="Envoy's own list of content types leaves event streams out; this one names them.",
    why="""
        It does not here: gzip and brotli are flushed after each event. The next hop can no longer
        read the events, and small ones gain little.
    """,
    detection="""
        A compressor filter with gzip or brotli names text/event-stream among its content types, and
        a streaming route of the same listener has no setting of its own for it.
    """,
    measured="""
        Envoy 1.39 and 1.40: first event 0.3 ms late, one event a read, gzip and brotli alike.
    """,
    fix="""
        None needed. To leave streams as they are, take the type out of the list, or let the origin
        send `Cache-Control: no-transform`, which Envoy obeys.
    """,
    source=_MEASURED,
)

DEFAULT_TIMEOUT = ConfigRule(
    code="ENV401",
    slug="route-timeout-default",
    severity=Severity.ERROR,
    message="this route has no timeout of its own, so Envoy cuts each answer after 15 s",
    safety=Safety.SAFE,
    what="A route without `timeout` has one of 15 s for the whole response.",
    why="A stream that takes longer is cut in the middle, and no heartbeat moves the limit.",
    detection="The route goes to a cluster, streams, and has no `timeout`.",
    measured="""
        Envoy 1.39 and 1.40: events and comments came until 15 s, then the connection broke off.
    """,
    fix="""
        Safe; the limit on silence (stream_idle_timeout, 5 min) stays as it is.
            route:
              cluster: llm
              timeout: 0s
    """,
    source=_MEASURED + "; envoyproxy.io, RouteAction.timeout",
)

TIMEOUT = ConfigRule(
    code="ENV402",
    slug="route-timeout",
    severity=Severity.ERROR,
    message="timeout {limit} ends the whole response, however lively; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        A route's `timeout` covers the whole response, from the request's end to the last byte.
    """,
    why="A stream that takes longer is cut in the middle, and no heartbeat moves the limit.",
    detection="""
        The route streams, and its `timeout` is above 0 and below an hour: an error up to a minute,
        since long answers take longer, and a warning above.
    """,
    measured="""
        Envoy 1.40 with 2s: cut 3.0 s after the request, truncated, while events came each 100 ms.
    """,
    fix="""
        Unsafe, since somebody chose this limit; silence is still limited by stream_idle_timeout.
            timeout: 0s
    """,
    source=_MEASURED + "; envoyproxy.io, RouteAction.timeout",
)

MAX_DURATION = ConfigRule(
    code="ENV403",
    slug="max-stream-duration",
    severity=Severity.ERROR,
    message="max_stream_duration {limit} ends each stream at that age; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `max_stream_duration` limits the life of a stream, wherever it stands: at the connection
        manager, at the route or at the cluster.
    """,
    why="A stream that takes longer is cut in the middle, and no heartbeat moves the limit.",
    detection="""
        It holds for a streaming route, and is above 0 and below an hour: an error up to a minute, a
        warning above. A route's own value goes before the connection manager's.
    """,
    measured="""
        Envoy 1.40 with 2s in each of the three places: cut after 3.0 s; a route's 0s went before
        the connection manager's 2s.
    """,
    fix="""
        Unsafe, since somebody chose this limit. At the route it frees this route alone; a cluster's
        limit can only be lifted at the cluster.
            max_stream_duration:
              max_stream_duration: 0s
    """,
    source=_MEASURED + "; " + _FAQ,
)

IDLE = ConfigRule(
    code="ENV404",
    slug="stream-idle-timeout",
    severity=Severity.ERROR,
    message="{knob} {limit} cuts a silent stream before two heartbeats of {heartbeat:g} s can come",
    safety=Safety.SAFE,
    what="""
        `stream_idle_timeout` of the connection manager (5 min by default), or a route's
        `idle_timeout` in its place, ends a stream on which nothing moves.
    """,
    why="A long prefill or a slow tool call is silent, and the stream is cut in it.",
    detection="""
        The limit of a streaming route is below two heartbeat intervals (`heartbeat` in the
        settings, 15 s unless told): an error below one interval, a warning below two.
    """,
    measured="""
        Envoy 1.40 with 2s in either place: cut 3.0 s after the last byte; a route's 60s went before
        the connection manager's 2s.
    """,
    fix="""
        Safe; it changes this route alone. Or send heartbeats more often.
            route:
              idle_timeout: 3600s
    """,
    source=_MEASURED + "; " + _FAQ,
)

TRY_IDLE = ConfigRule(
    code="ENV405",
    slug="per-try-idle-timeout",
    severity=Severity.ERROR,
    message=(
        "per_try_idle_timeout {limit} cuts a silent stream before two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        `per_try_idle_timeout` of a retry policy ends a try on which nothing moves, and it still
        counts when the response has begun.
    """,
    why="A stream that has begun cannot be tried again, so its reader gets a truncated one.",
    detection="""
        The retry policy of a streaming route, or of its virtual host, has a limit below two
        heartbeat intervals: an error below one interval, a warning below two.
    """,
    measured="Envoy 1.40 with 2s, with and without retry_on: cut 3.0 s after the last byte.",
    fix="""
        Unsafe, since somebody chose this limit.
            per_try_idle_timeout: 3600s
    """,
    source=_MEASURED + "; " + _FAQ,
)

TRY = ConfigRule(
    code="ENV406",
    slug="per-try-timeout",
    severity=Severity.WARNING,
    message="per_try_timeout {limit} gives up a request whose response head comes later",
    safety=Safety.UNSAFE,
    what="""
        `per_try_timeout` ends a try whose response has not begun, and asks again where the retry
        policy says so.
    """,
    why="""
        Many servers send the head with the first token. A long prefill then ends in a 504, or the
        model starts over, each time with the whole prompt, and the load that made it slow grows.
    """,
    detection="""
        The retry policy of a streaming route, or of its virtual host, has one below a minute. It
        does not cut a response that has begun.
    """,
    measured="""
        Envoy 1.40 with 1s before a server whose head comes after 2.5 s: 504; with 0s it streamed.
        Once the head was through, 2s did not cut a stream of 6 s.
    """,
    fix="""
        Unsafe, since somebody chose this limit; 0s takes it away.
            per_try_timeout: 0s
    """,
    source=_MEASURED + "; " + _FAQ,
)

RULES = (
    LUA_BODY,
    EXT_PROC_BODY,
    FILE_BUFFER,
    ZSTD,
    GZIP,
    DEFAULT_TIMEOUT,
    TIMEOUT,
    MAX_DURATION,
    IDLE,
    TRY_IDLE,
    TRY,
)
