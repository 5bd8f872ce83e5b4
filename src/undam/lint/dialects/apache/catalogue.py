"""The rules of httpd.conf, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with httpd 2.4.71"

FASTCGI_HELD = ConfigRule(
    code="APA101",
    slug="packets-not-flushed",
    severity=Severity.ERROR,
    message="mod_proxy_{scheme} holds small events back: {what}",
    safety=Safety.SAFE,
    what="""
        Over FastCGI and AJP httpd collects what the application sends, and passes it on when its
        buffer is full. `flushpackets=on` passes on each packet; `auto` waits for a pause of the
        stream.
    """,
    why="The reader gets tokens in blocks of 4 KB, and the first one with the first block.",
    detection="""
        A ProxyPass or BalancerMember with fcgi:// or ajp:// on a route that streams has no
        `flushpackets=on`, and no <Proxy> section of the same URL has it.
    """,
    measured="""
        httpd 2.4.71, 150 events of 59 bytes 5 ms apart over FastCGI: 61 events per read, with
        `auto` too; with `flushpackets=on` one. Over uwsgi and SCGI each event passed at once by
        itself. AJP was not run.
    """,
    fix="""
        Safe, on the line of the route. Behind `SetHandler "proxy:fcgi://..."`, in a section of its
        own, since that line takes no parameters:
            ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
    """,
    source=_MEASURED + "; httpd.apache.org, mod_proxy, flushpackets",
)

RATE_LIMITED = ConfigRule(
    code="APA102",
    slug="rate-limit-on-stream",
    severity=Severity.ERROR,
    message="the RATE_LIMIT filter holds the stream: it sends every 200 ms",
    safety=Safety.NONE,
    what="Mod_ratelimit collects what may leave in 200 ms, sends that, and sleeps.",
    why="""
        Tokens come in bursts at any rate, also one that the stream never reaches; with a low one
        they fall behind more and more.
    """,
    detection="""
        SetOutputFilter or AddOutputFilterByType puts RATE_LIMIT on a route that streams, and
        `rate-limit` is set there.
    """,
    measured="""
        httpd 2.4.71 with `rate-limit 400` (KiB/s), 200 events 5 ms apart: 40 events per read, the
        half of them more than 300 ms late; without it at most a few ms.
    """,
    fix="""
        None is made, since the limit is wanted somewhere. Take the filter away for the stream:
            <Location "/v1/">
                SetOutputFilter NONE
            </Location>
    """,
    source=_MEASURED + "; httpd.apache.org, mod_ratelimit",
)

EXTERNAL_FILTER = ConfigRule(
    code="APA103",
    slug="external-filter-on-stream",
    severity=Severity.ERROR,
    message="the external filter {name!r} holds the stream",
    safety=Safety.NONE,
    what="""
        Mod_ext_filter pipes the response through another program, and takes back what that program
        has written when a buffer is full or the response ends.
    """,
    why="""
        Even `cat`, which buffers nothing, makes blocks of 4 KB of a stream; a program with buffers
        of its own makes larger ones.
    """,
    detection="""
        SetOutputFilter or AddOutputFilterByType puts a filter on a route that streams that
        ExtFilterDefine defines for output.
    """,
    measured="""
        httpd 2.4.71, 200 events 5 ms apart through `cat`, and through `sed`: 19 events per read;
        without the filter one. The filters inside httpd (DEFLATE, BROTLI_COMPRESS, SUBSTITUTE, SED,
        INCLUDES, BUFFER) passed each event at once.
    """,
    fix="""
        None is made, since the filter is wanted somewhere. Take it away for the stream:
            <Location "/v1/">
                SetOutputFilter NONE
            </Location>
    """,
    source=_MEASURED + "; httpd.apache.org, mod_ext_filter",
)

CACHED = ConfigRule(
    code="APA104",
    slug="cache-on-stream",
    severity=Severity.WARNING,
    message="mod_cache may store the streams of {path}",
    safety=Safety.SAFE,
    what="""
        A response to GET that says how long it is fresh is stored when it ends, and given out from
        the store afterwards.
    """,
    why="A stored stream comes in one piece, and is somebody else's answer.",
    detection="""
        `CacheEnable` covers a route that streams, and no `CacheDisable` does. One in a <Location>
        does not count against a CacheEnable outside: httpd asks the cache before it looks there.
    """,
    measured="""
        httpd 2.4.71 with mod_cache_disk: the first reader of a stream with `Cache-Control:
        max-age=60` gets it event by event, the second one whole and at once, also with
        `CacheDisable on` in the <Location>; with the fix each one gets it event by event.
    """,
    fix="""
        Safe, for the streaming route alone; none is made for a CacheEnable in a <Location>.
            CacheDisable "/v1/"
    """,
    source=_MEASURED + "; httpd.apache.org, mod_cache",
)

HTTP_10 = ConfigRule(
    code="APA105",
    slug="old-http-to-origin",
    severity=Severity.WARNING,
    message=(
        "force-proxy-request-1.0: when the origin dies in mid-stream, the client sees a clean end"
    ),
    safety=Safety.UNSAFE,
    what="""
        The variable makes mod_proxy_http speak HTTP/1.0, where a body ends with its connection.
    """,
    why="""
        httpd cannot tell an end from a crash of the origin, and ends its own response properly: a
        truncated answer looks complete.
    """,
    detection="""
        `SetEnv force-proxy-request-1.0` holds where a streaming route is relayed by HTTP.
    """,
    measured="""
        httpd 2.4.71, an origin that drops the connection after 50 of 200 events: with the variable
        a clean end, without it a truncated chunked body, which every HTTP client reports.
    """,
    fix="""
        Unsafe, since everything under the same section speaks HTTP/1.1 then. Take the line out.
            # no SetEnv force-proxy-request-1.0
    """,
    source=_MEASURED + "; httpd.apache.org, mod_proxy; RFC 9112, 8",
)

USELESS_FLUSH = ConfigRule(
    code="APA201",
    slug="flushpackets-over-http",
    severity=Severity.INFO,
    message="{parameter} does nothing over {scheme}: mod_proxy_http streams without it",
    safety=Safety.SAFE,
    what="""
        `flushpackets` is read by mod_proxy_fcgi and mod_proxy_ajp. mod_proxy_http passes on what
        has come as soon as the origin pauses, whatever it says.
    """,
    why="Who adds it to free a stream looks away from the hop that holds it.",
    detection="""
        A ProxyPass or BalancerMember with http:// or https:// on a route that streams has
        `flushpackets` or `flushwait`.
    """,
    measured="""
        httpd 2.4.71, 200 events 5 ms apart with `on`, `off` and without it: one event per read.
    """,
    fix="""
        Safe. Take the parameter out.
            ProxyPass "/v1/" "http://127.0.0.1:9000/v1/"
    """,
    source=_MEASURED + "; httpd.apache.org, mod_proxy, flushpackets",
)

ACCEL_HEADER = ConfigRule(
    code="APA202",
    slug="x-accel-header-in-apache",
    severity=Severity.INFO,
    message="X-Accel-Buffering does nothing in httpd; only an nginx further out reads it",
    safety=Safety.NONE,
    what="""
        The header tells nginx, and what is built on it, not to buffer. httpd passes it on unread.
    """,
    why="Who adds it to free a stream still has the dam, if there is one.",
    detection="`Header` or `RequestHeader` sets it where a streaming route is relayed.",
    measured="""
        httpd 2.4.71 over FastCGI held a stream with the header on the response as without it.
    """,
    fix="""
        None is made, for `Header` is right where an nginx stands further out. In httpd itself only
        FastCGI and AJP need something:
            ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
    """,
    source=_MEASURED,
)

SHORT_TIMEOUT = ConfigRule(
    code="APA401",
    slug="short-proxy-timeout",
    severity=Severity.WARNING,
    message=(
        "a stream that is silent for {limit} s is cut: less than two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        The `timeout` of a worker ends a response whose origin is silent for so long. Where it is
        not said, `ProxyTimeout` holds, then `Timeout`, then 60 s. (Debian's apache2.conf says 300.)
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent, and the client gets a
        truncated stream. One heartbeat that is lost or late must not be enough for that.
    """,
    detection="""
        The limit that holds on a streaming route is below twice the heartbeat interval of the
        settings (15 s unless they say otherwise); an error if it is no longer than one interval.
    """,
    measured="""
        httpd 2.4.71 with a limit of 1 s, in any of the three places and on a BalancerMember, cut a
        stream in a silence of 2.5 s; a comment each 0.4 s kept it alive. `timeout` on a ProxyPass
        to a balancer, `connectiontimeout` and RequestReadTimeout did not cut it.
    """,
    fix="""
        An hour, on the line of the route. Unsafe: a dead origin is noticed as late as that. Behind
        RewriteRule and SetHandler, which take no parameters, set ProxyTimeout.
            ProxyPass "/v1/" "http://127.0.0.1:9000/v1/" timeout=3600
    """,
    source=_MEASURED + "; httpd.apache.org, mod_proxy, ProxyTimeout",
)

RULES = (
    FASTCGI_HELD,
    RATE_LIMITED,
    EXTERNAL_FILTER,
    CACHED,
    HTTP_10,
    USELESS_FLUSH,
    ACCEL_HEADER,
    SHORT_TIMEOUT,
)
