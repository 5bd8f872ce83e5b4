"""Rules NGX101-NGX106 and NGX108-NGX109: nginx buffers the stream.

At most one of these is reported for a route: the most direct cause. Its fix removes the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.routes import NginxRoute
from undam.lint.dialects.nginx.rules.ineffective import find_supposed_fix
from undam.rules import Severity
from undam.versions import EVERY_VERSION, NGINX_UPSTREAM_HTTP11, Version

BUFFERING_ON = ConfigRule(
    code="NGX101",
    slug="proxy-buffering-on",
    severity=Severity.ERROR,
    message=(
        "proxy_buffering is on and nginx uses HTTP/1.0 to the upstream: "
        "the stream arrives in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        By default, nginx buffers responses and, before version 1.29.7, uses HTTP/1.0 to the
        upstream. An HTTP/1.0 body is not chunked, so nginx forwards data only when a buffer of 4096
        bytes is full.
    """,
    why="""
        The first token is held until 4 KB have arrived, which is about 24 OpenAI chunks. The
        response head and every heartbeat are held in the same buffer.
    """,
    detection="""
        On a streaming route, neither `proxy_buffering off` nor `proxy_http_version` 1.1 or later is
        in force. Directives in the location and at outer levels are considered.
    """,
    measured="""
        nginx 1.22.1, 120 events of 60 bytes, 25 ms apart: the first event arrived 1654 ms late, and
        events arrived 60 at a time. In nginx 1.22.1 with `proxy_buffering off`, and in nginx 1.31.3
        with defaults, the first event was 0.1 ms late, and each read returned one event.
    """,
    fix="""
        Turn buffering off in the location that streams. Without buffering, `proxy_cache` is also
        off in that location.

            proxy_buffering off;

        If the origin sends `X-Accel-Buffering: no`, nginx does not buffer the response. In that
        case, allow NGX101. Since nginx 1.29.7 (stable since 1.30), HTTP/1.1 is the default, and
        NGX102 applies instead.
    """,
    source=(
        "measured on loopback with nginx 1.22.1 and 1.31.3; nginx.org, ngx_http_proxy_module, "
        "proxy_buffering and proxy_http_version"
    ),
    affected=NGINX_UPSTREAM_HTTP11.before,
)
CLOSE_DELIMITED = ConfigRule(
    code="NGX102",
    slug="buffering-of-close-delimited",
    severity=Severity.INFO,
    message=(
        "proxy_buffering is on: over HTTP/1.1 or HTTP/2, a chunked stream is not held, but the "
        "response head is delayed until the first byte, and a body without chunks arrives in blocks"
    ),
    safety=Safety.SAFE,
    what="""
        Over HTTP/1.1 to the upstream, and over HTTP/2 (since 1.29.4), nginx forwards each piece of
        the body as it arrives, even if buffering is on. nginx still holds the response head until
        the first byte of the body arrives. It also holds an HTTP/1 body delimited by connection
        close.
    """,
    why="""
        The client receives nothing before the first token, not even the response head. If the
        origin's response is not chunked, the stream arrives in blocks of 4 KB.
    """,
    detection="`proxy_http_version 1.1` or `2` is in force, and `proxy_buffering off` is not.",
    measured="""
        nginx 1.22.1: with a chunked body, events arrived 0.1 ms late. With a body delimited by
        connection close, events arrived 1651 ms late and 60 at a time.
    """,
    fix="""
        Turn buffering off in the location that streams.

            proxy_buffering off;
    """,
    source="measured on loopback with nginx 1.22.1",
)
GZIP = ConfigRule(
    code="NGX103",
    slug="gzip-of-event-streams",
    severity=Severity.ERROR,
    message=(
        "gzip compresses text/event-stream here and proxy_buffering is on: "
        "the stream is held until it ends"
    ),
    safety=Safety.SAFE,
    what="""
        `gzip_types` includes `text/event-stream` (or `*`). The compressor collects data until it
        has a block of output or the response ends.
    """,
    why="""
        Compression holds a stream longer than any other cause does. Using HTTP/1.1 to the upstream
        does not help. A short answer arrives in one piece when it ends. A long answer arrives in
        blocks of about 28 KB of compressed output.
    """,
    detection="""
        On a streaming route, `gzip on` is in force, and `gzip_types` includes `text/event-stream`
        or `*`. `proxy_buffering off` is not in force. Clients that do not accept gzip are not
        affected.
    """,
    measured="""
        nginx 1.22.1, 120 events in 3 s: all events arrived together, and the first one was 3001 ms
        late. With `proxy_buffering off`, the first event was 0.2 ms late, because nginx then
        flushes the compressor after each event.
    """,
    fix="""
        Turn buffering off in the location that streams, or remove `text/event-stream` from
        `gzip_types`.

            proxy_buffering off;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_gzip_module",
)
CACHE = ConfigRule(
    code="NGX104",
    slug="cache-on-stream",
    severity=Severity.WARNING,
    message="proxy_cache {zone} is in force on a streaming route",
    safety=Safety.SAFE,
    what="nginx can store responses of a streaming route and send them to other clients.",
    why="""
        A stored event stream is replayed as one block. With `proxy_cache_lock`, a second client
        receives nothing until the first client's stream has ended. Caching requires buffering, so
        buffering cannot be turned off while the cache stays on.
    """,
    detection="A `proxy_cache` zone is in force, and `proxy_buffering off` is not.",
    measured="""
        nginx 1.22.1 with `proxy_cache`: the delay for the first client was 1476 ms over HTTP/1.0
        and 6.6 ms over HTTP/1.1. A repeated GET was answered from the cache, with all events
        together. With `proxy_buffering off`, the delay for the first client was 0.2 ms.
    """,
    fix="""
        Turn buffering off in the location that streams. nginx does not cache what it does not
        buffer.

            proxy_buffering off;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, proxy_cache",
)
ACCEL_IGNORED = ConfigRule(
    code="NGX105",
    slug="x-accel-buffering-ignored",
    severity=Severity.ERROR,
    message=(
        "proxy_ignore_headers makes nginx ignore the origin's X-Accel-Buffering header, "
        "and proxy_buffering is on: the stream arrives in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        With `X-Accel-Buffering: no`, an origin can turn buffering off for its own response.
        `proxy_ignore_headers X-Accel-Buffering` makes nginx ignore that header.
    """,
    why="""
        This nginx holds the stream in blocks of 4096 bytes, although every other nginx would
        forward it without buffering.
    """,
    detection="""
        On a streaming route with HTTP/1.0 to the upstream, `proxy_ignore_headers` includes
        `X-Accel-Buffering`. `proxy_buffering off` is not in force.
    """,
    measured="""
        nginx 1.22.1 with an origin that sends `X-Accel-Buffering: no`: the first event arrived 1651
        ms late, and events arrived 60 at a time. Without `proxy_ignore_headers`, the first event
        was 0.1 ms late.
    """,
    fix="""
        Turn buffering off in the location that streams. The `proxy_ignore_headers` line may stay.

            proxy_buffering off;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, "
        "proxy_ignore_headers"
    ),
)
BUFFER_SIZE = ConfigRule(
    code="NGX106",
    slug="buffer-size-of-a-hold",
    severity=Severity.ERROR,
    message=(
        "proxy_buffer_size {size} with proxy_buffering on: the first token is held until {size} "
        "of the stream has arrived"
    ),
    safety=Safety.SAFE,
    what="nginx buffers responses over HTTP/1.0, and the configuration sets the buffer size.",
    why="""
        The buffer size determines how long the first token is held. With 16k, the delay is four
        times as long as with the default. A smaller buffer shortens the delay but does not remove
        it. `proxy_buffer_size` is usually set for large response headers, and is correct for this
        purpose.
    """,
    detection="""
        On a streaming route, `proxy_buffer_size` is in force, but neither `proxy_buffering off` nor
        `proxy_http_version` 1.1 or later is.
    """,
    measured="""
        nginx 1.22.1 with `proxy_buffer_size 1k; proxy_buffers 8 1k`: the first event arrived 376 ms
        late, and events arrived 17 at a time. With the default (4k), the first event was 1654 ms
        late. With events of 220 bytes, a buffer of 16k held 72 events, and a buffer of 4k held 19.
    """,
    fix="""
        Turn buffering off in the location that streams. `proxy_buffer_size` may stay: without
        buffering, it only limits the response head.

            proxy_buffering off;
    """,
    source="measured on loopback with nginx 1.22.1",
)
LIMIT_RATE = ConfigRule(
    code="NGX108",
    slug="proxy-limit-rate-on-stream",
    severity=Severity.ERROR,
    message="proxy_limit_rate {rate} makes nginx read the stream in bursts, about one per second",
    safety=Safety.UNSAFE,
    what="""
        `proxy_limit_rate` limits how fast nginx reads from the upstream. nginx reads some data, and
        then pauses until the average rate is below the limit again.
    """,
    why="During each pause, nginx forwards no events, however slow the stream is.",
    detection="""
        A `proxy_limit_rate` other than 0 is in force on a streaming route, and buffering is on.
    """,
    measured="""
        nginx 1.22.1 over HTTP/1.1, 150 events of 220 bytes, 10 ms apart: with `proxy_limit_rate
        5k`, events arrived 18 at a time, and half of them were more than 2 s late.
    """,
    fix="""
        Turn buffering off in the location that streams; `proxy_limit_rate` then has no effect.

            proxy_buffering off;

        To limit the rate to the client, use `limit_rate`, which did not hold events at 2k.
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, proxy_limit_rate"
    ),
)
GATEWAY = ConfigRule(
    code="NGX109",
    slug="gateway-buffering-on",
    severity=Severity.ERROR,
    message="{directive} is on: the stream arrives in blocks of 4 KB",
    safety=Safety.SAFE,
    what="nginx buffers responses over uwsgi, FastCGI and SCGI in the same way as over HTTP.",
    why="""
        The first token, the response head and every heartbeat are held until 4096 bytes have
        arrived.
    """,
    detection="""
        A streaming route uses `uwsgi_pass`, `fastcgi_pass` or `scgi_pass`, and the buffering
        directive of that protocol is not off. `grpc_pass` does not have such a buffer.
    """,
    measured="""
        nginx 1.22.1, events of 60 bytes, 10 ms apart: over each of the three protocols, events
        arrived 60 to 69 at a time, and the first event arrived after 0.6 to 0.7 s. With the
        buffering directive off, each event arrived immediately.
    """,
    fix="""
        Turn off the buffering directive of the protocol in the location that streams.

            uwsgi_buffering off;   or   fastcgi_buffering off;   or   scgi_buffering off;

        Alternatively, the application can turn buffering off by sending `X-Accel-Buffering: no`.
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_uwsgi_module, "
        "ngx_http_fastcgi_module, ngx_http_scgi_module"
    ),
)

RULES = (
    BUFFERING_ON,
    CLOSE_DELIMITED,
    GZIP,
    CACHE,
    ACCEL_IGNORED,
    BUFFER_SIZE,
    LIMIT_RATE,
    GATEWAY,
)

_OFF = "proxy_buffering off;"


def find(route: NginxRoute, version: Version | None) -> Iterator[Diagnostic]:
    """Find the most direct cause of buffering on a route.

    Args:
        version: version of nginx, which decides the default of proxy_http_version.
    """
    directive = f"{route.protocol}_buffering"
    if route.protocol == "grpc" or not route.scope.is_on(directive, default=True):
        return
    if route.protocol != "proxy":
        yield route.set_value(directive, "off").diagnostic(GATEWAY, directive=directive)
    elif route.scope.is_on("gzip", default=False) and _compresses_streams(route):
        yield route.set_value(directive, "off").diagnostic(GZIP)
    elif _upstream_http(route, version) == "1.0":
        is_stated = bool(route.scope.in_force("proxy_http_version"))
        affected = EVERY_VERSION if is_stated else NGINX_UPSTREAM_HTTP11.before
        yield replace(_held_in_blocks(route), affected=affected)
    else:
        yield _passing_chunks(route)


def find_compression(route: NginxRoute) -> Iterator[Diagnostic]:
    """Find compression of event streams on a route that is not known to stream."""
    is_buffered = route.protocol == "proxy" and route.scope.is_on("proxy_buffering", default=True)
    if is_buffered and route.scope.is_on("gzip", default=False) and _compresses_streams(route):
        yield route.insert(_OFF).diagnostic(GZIP)


def _upstream_http(route: NginxRoute, version: Version | None) -> str:
    has_new_default = version is not None and NGINX_UPSTREAM_HTTP11.onwards.contains(version)
    return route.scope.value("proxy_http_version", "1.1" if has_new_default else "1.0")


def _compresses_streams(route: NginxRoute) -> bool:
    return bool(route.scope.names("gzip_types") & {"*", "text/event-stream"})


def _held_in_blocks(route: NginxRoute) -> Diagnostic:
    scope = route.scope
    # If the location itself contains `proxy_buffering on`, that line is the cause.
    if scope.own("proxy_buffering"):
        return route.set_value("proxy_buffering", "off").diagnostic(BUFFERING_ON)
    if (supposed := find_supposed_fix(route)) is not None:
        return supposed
    for one in scope.in_force("proxy_ignore_headers"):
        if "x-accel-buffering" in (arg.lower() for arg in one.args):
            return route.insert_beside(one, _OFF).diagnostic(ACCEL_IGNORED)
    for one in scope.in_force("proxy_buffer_size"):
        return route.insert_beside(one, _OFF).diagnostic(BUFFER_SIZE, size=one.value)
    return route.insert(_OFF).diagnostic(BUFFERING_ON)


def _passing_chunks(route: NginxRoute) -> Diagnostic:
    scope = route.scope
    off = route.set_value("proxy_buffering", "off")
    if (rate := scope.value("proxy_limit_rate", "0")) != "0":
        return off.diagnostic(LIMIT_RATE, rate=rate)
    if (zone := scope.value("proxy_cache", "off")) != "off":
        return off.diagnostic(CACHE, zone=zone)
    return off.diagnostic(CLOSE_DELIMITED)
