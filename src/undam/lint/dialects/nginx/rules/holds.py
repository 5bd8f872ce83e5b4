"""NGX101-NGX109: nginx keeps the stream in its buffers. One finding a route: the plainest cause."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.marks import told
from undam.lint.dialects.nginx.routes import Route
from undam.lint.dialects.nginx.rules import lookalikes
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.versions import NGINX_UPSTREAM_HTTP11

_MEASURED = "measured on loopback with nginx 1.22.1"
_OFF = "proxy_buffering off;"

BUFFERING_ON = ConfigRule(
    code="NGX101",
    slug="proxy-buffering-on",
    severity=Severity.ERROR,
    message=(
        "proxy_buffering is on and the upstream is spoken to in HTTP/1.0: "
        "the stream comes in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        nginx buffers what the upstream sends, and before 1.29.7 speaks HTTP/1.0 to it by default.
        Such a body has no chunks, so nginx sends it on when a buffer of 4096 bytes is full.
    """,
    why="""
        The first token waits for the first 4 KB, about 24 chunks of the OpenAI form; the response
        head and every heartbeat wait in the same buffer.
    """,
    detection="""
        A route that streams has neither `proxy_buffering off` nor `proxy_http_version 1.1` in
        force, here or at an outer level.
    """,
    measured="""
        nginx 1.22.1, 120 events of 60 bytes, one each 25 ms: the first event came 1654 ms late, 60
        events at a time. With the fix: 0.1 ms, one event a read. nginx 1.31.3 without the fix: 0.1
        ms, one event a read.
    """,
    fix="""
        Safe, in the location that streams (it also turns proxy_cache off there):
            proxy_buffering off;
        An origin that sends `X-Accel-Buffering: no` does the same for its own answers, and cannot
        be seen in this file; where it does, allow this rule. nginx 1.29.7 and later (1.30 is
        the stable series) speak HTTP/1.1 by default; there only what NGX102 describes remains.
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_proxy_module, proxy_buffering and proxy_http_version",
    affected=NGINX_UPSTREAM_HTTP11.before,
)
CLOSE_DELIMITED = ConfigRule(
    code="NGX102",
    slug="buffering-of-close-delimited",
    severity=Severity.INFO,
    message=(
        "proxy_buffering is on: over HTTP/1.1 or HTTP/2 a chunked stream passes, "
        "but the head waits for the first byte, and a body without chunks comes in blocks"
    ),
    safety=Safety.SAFE,
    what="""
        Over HTTP/1.1, and over HTTP/2 to the upstream (from 1.29.4 on), nginx passes each piece of
        the body on although buffering is on. Two things still wait: the response head, for the
        first byte of the body, and an HTTP/1 body that ends with its connection.
    """,
    why="""
        A slow first token keeps the client without any sign of life; and the day the origin answers
        without chunks, the stream falls back to blocks of 4 KB.
    """,
    detection="`proxy_http_version 1.1` or `2` is in force and `proxy_buffering off` is not.",
    measured="""
        nginx 1.22.1: a chunked origin 0.1 ms late, an origin that delimits the body by closing 1651
        ms, 60 events at a time.
    """,
    fix="""
        Safe, in the location that streams:
            proxy_buffering off;
    """,
    source=_MEASURED,
)
GZIP = ConfigRule(
    code="NGX103",
    slug="gzip-of-event-streams",
    severity=Severity.ERROR,
    message=(
        "gzip compresses text/event-stream here and proxy_buffering is on: "
        "the stream is held to its end"
    ),
    safety=Safety.SAFE,
    what="""
        Gzip_types names text/event-stream (or `*`), and the compressor keeps what it gets until it
        has a block of output or the end of the answer.
    """,
    why="""
        It is the worst hold there is, and HTTP/1.1 to the upstream does not help: a short answer
        comes whole at its end, a long one in steps of about 28 KB of compressed output.
    """,
    detection="""
        On a route that streams, `gzip on` and such gzip_types are in force, and `proxy_buffering
        off` is not. Clients that do not ask for gzip are not held.
    """,
    measured="""
        nginx 1.22.1, 120 events in 3 s: the first came 3001 ms late, all at once. With the fix 0.2
        ms: then nginx flushes the compressor after each event.
    """,
    fix="""
        Safe, in the location that streams; or take text/event-stream out of gzip_types:
            proxy_buffering off;
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_gzip_module",
)
CACHE = ConfigRule(
    code="NGX104",
    slug="cache-on-stream",
    severity=Severity.WARNING,
    message="proxy_cache {zone} is in force on a route that streams",
    safety=Safety.SAFE,
    what="Answers of this route can be stored and given to others.",
    why="""
        A stored event stream is replayed as one block. proxy_cache_lock lets a second reader wait
        for the whole of the first one's stream. Caching needs buffering, so it cannot be turned off
        for the stream while the cache stays.
    """,
    detection="A proxy_cache other than `off` is in force and `proxy_buffering off` is not.",
    measured="""
        nginx 1.22.1 with proxy_cache: a first reader over HTTP/1.0 waits 1476 ms, over HTTP/1.1 6.6
        ms; a GET that is asked again is answered whole, from the store. With the fix 0.2 ms.
    """,
    fix="""
        Safe, in the location that streams; nginx caches nothing that it does not buffer:
            proxy_buffering off;
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_proxy_module, proxy_cache",
)
ACCEL_IGNORED = ConfigRule(
    code="NGX105",
    slug="x-accel-buffering-ignored",
    severity=Severity.ERROR,
    message=(
        "proxy_ignore_headers takes X-Accel-Buffering away from the origin, "
        "and proxy_buffering is on: the stream comes in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        An origin can turn buffering off for its own answer with `X-Accel-Buffering: no`. This line
        tells nginx not to listen.
    """,
    why="""
        Servers that stream well behind every other nginx are held behind this one, in blocks of
        4096 bytes.
    """,
    detection="""
        proxy_ignore_headers names X-Accel-Buffering on a route that streams, over HTTP/1.0 to the
        upstream, and `proxy_buffering off` is not in force.
    """,
    measured="""
        nginx 1.22.1 and an origin that sends the header: the first event 1651 ms late, 60 events at
        a time; without the line 0.1 ms.
    """,
    fix="""
        Safe, in the location that streams; the line may then stay:
            proxy_buffering off;
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_proxy_module, proxy_ignore_headers",
)
BUFFER_SIZE = ConfigRule(
    code="NGX106",
    slug="buffer-size-of-a-hold",
    severity=Severity.ERROR,
    message=(
        "proxy_buffer_size {size} with proxy_buffering on: the "
        "first token waits for {size} of stream"
    ),
    safety=Safety.SAFE,
    what="Buffering is on over HTTP/1.0, and somebody set how much is kept.",
    why="""
        The size is how long the first token waits: 16k are four times the default. A small one
        makes it shorter, and does not end it. The line is mostly there for large response headers,
        for which it is right.
    """,
    detection="""
        proxy_buffer_size is in force on a route that streams, with neither `proxy_buffering off`
        nor `proxy_http_version 1.1`.
    """,
    measured="""
        nginx 1.22.1: `proxy_buffer_size 1k; proxy_buffers 8 1k` 376 ms late, 17 events at a time;
        the default (4k) 1654 ms. Of events of 220 bytes, 16k held 72, and 4k 19.
    """,
    fix="""
        Safe, in the location that streams; the size may stay and then only bounds the head:
            proxy_buffering off;
    """,
    source=_MEASURED,
)
LIMIT_RATE = ConfigRule(
    code="NGX108",
    slug="proxy-limit-rate-on-stream",
    severity=Severity.ERROR,
    message="proxy_limit_rate {rate} reads a stream in bursts, one each second or so",
    safety=Safety.UNSAFE,
    what="""
        proxy_limit_rate bounds how fast nginx reads from the upstream. It reads a piece, then waits
        until the average is below the rate again.
    """,
    why="While it waits no event passes, however slow the stream is.",
    detection="""
        A rate other than 0 is in force on a route that streams. It only works while buffering is
        on.
    """,
    measured="""
        nginx 1.22.1 over HTTP/1.1, 150 events of 220 bytes, one each 10 ms: with `proxy_limit_rate
        5k` half of them came over 2 s late, 18 at a time.
    """,
    fix="""
        Unsafe, since the rate only works with buffering and no longer holds then:
            proxy_buffering off;
        limit_rate bounds what a client gets instead, and held nothing back at 2k.
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_proxy_module, proxy_limit_rate",
)
GATEWAY = ConfigRule(
    code="NGX109",
    slug="gateway-buffering-on",
    severity=Severity.ERROR,
    message="{directive} is on: the stream comes in blocks of 4 KB",
    safety=Safety.SAFE,
    what="Responses over uwsgi, FastCGI and SCGI are buffered as those of proxy_pass are.",
    why="The first token, the head and every heartbeat wait for 4096 bytes.",
    detection="""
        A route that streams has uwsgi_pass, fastcgi_pass or scgi_pass, and the buffering directive
        of that protocol is not off. grpc_pass has no such buffer.
    """,
    measured="""
        nginx 1.22.1, events of 60 bytes, one each 10 ms: 60 to 69 events at a time over each of the
        three protocols, the first after 0.6 to 0.7 s; with the fix one event a read, at once.
    """,
    fix="""
        Safe, in the location that streams:
            uwsgi_buffering off;   or   fastcgi_buffering off;   or   scgi_buffering off;
        `X-Accel-Buffering: no` from the application does the same.
    """,
    source=(
        f"{_MEASURED}; nginx.org, ngx_http_uwsgi_module, ngx_http_fastcgi_module, "
        "ngx_http_scgi_module"
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


def find(route: Route, _settings: Settings) -> Iterator[Diagnostic]:
    """At most one: what the fix of one mends, the others need no more."""
    directive = f"{route.protocol}_buffering"
    if route.protocol == "grpc" or not route.scope.is_on(directive, default=True):
        return
    if route.protocol != "proxy":
        yield told(GATEWAY, route.set_value(directive, "off"), directive=directive)
    elif route.scope.is_on("gzip", default=False) and _gzips_streams(route):
        yield told(GZIP, route.set_value(directive, "off"))
    elif route.scope.value("proxy_http_version", "1.0") == "1.0":
        yield _in_blocks(route)
    else:
        yield _passing_chunks(route)


def _gzips_streams(route: Route) -> bool:
    return bool(route.scope.names("gzip_types") & {"*", "text/event-stream"})


def _in_blocks(route: Route) -> Diagnostic:
    scope = route.scope
    # Where the location says `proxy_buffering on` itself, that word is the mistake.
    if scope.own("proxy_buffering"):
        return told(BUFFERING_ON, route.set_value("proxy_buffering", "off"))
    if (supposed := lookalikes.find_supposed_fix(route)) is not None:
        return supposed
    for one in scope.in_force("proxy_ignore_headers"):
        if "x-accel-buffering" in (arg.lower() for arg in one.args):
            return told(ACCEL_IGNORED, route.put_beside(one, _OFF))
    for one in scope.in_force("proxy_buffer_size"):
        return told(BUFFER_SIZE, route.put_beside(one, _OFF), size=one.value)
    return told(BUFFERING_ON, route.put(_OFF))


def _passing_chunks(route: Route) -> Diagnostic:
    scope = route.scope
    off = route.set_value("proxy_buffering", "off")
    if (rate := scope.value("proxy_limit_rate", "0")) != "0":
        return told(LIMIT_RATE, off, rate=rate)
    if (zone := scope.value("proxy_cache", "off")) != "off":
        return told(CACHE, off, zone=zone)
    return told(CLOSE_DELIMITED, off)
