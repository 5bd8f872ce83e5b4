"""The rules of httpd.conf, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with httpd 2.4.71"

FASTCGI_HELD = ConfigRule(
    "APA101",
    "packets-not-flushed",
    Severity.ERROR,
    "mod_proxy_{scheme} holds small events back: {what}",
    """\
What: over FastCGI and AJP httpd collects what the application sends, and passes it on when its
buffer is full. `flushpackets=on` passes on each packet; `auto` waits for a pause of the stream.
Why it hurts: the reader gets tokens in blocks of 4 KB, and the first one with the first block.
How it is told: a ProxyPass or BalancerMember with fcgi:// or ajp:// on a route that streams has
no `flushpackets=on`, and no <Proxy> section of the same URL has it.
Fix: safe, on the line of the route. Behind `SetHandler "proxy:fcgi://..."`, in a section of its
own, since that line takes no parameters:
    ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
Measured: httpd 2.4.71, 150 events of 59 bytes 5 ms apart over FastCGI: 61 events per read, with
`auto` too; with `flushpackets=on` one. Over uwsgi and SCGI each event passed at once by itself.
AJP was not run.
Source: httpd.apache.org, mod_proxy, flushpackets.
""",
    Safety.SAFE,
    _MEASURED + "; httpd.apache.org, mod_proxy, flushpackets",
)

RATE_LIMITED = ConfigRule(
    "APA102",
    "rate-limit-on-stream",
    Severity.ERROR,
    "the RATE_LIMIT filter holds the stream: it sends every 200 ms",
    """\
What: mod_ratelimit collects what may leave in 200 ms, sends that, and sleeps.
Why it hurts: tokens come in bursts at any rate, also one that the stream never reaches; with a
low one they fall behind more and more.
How it is told: SetOutputFilter or AddOutputFilterByType puts RATE_LIMIT on a route that streams,
and `rate-limit` is set there.
Fix: none is made, since the limit is wanted somewhere. Take the filter away for the stream:
    <Location "/v1/">
        SetOutputFilter NONE
    </Location>
Measured: httpd 2.4.71 with `rate-limit 400` (KiB/s), 200 events 5 ms apart: 40 events per read, the
half of them more than 300 ms late; without it at most a few ms.
Source: httpd.apache.org, mod_ratelimit.
""",
    Safety.NONE,
    _MEASURED + "; httpd.apache.org, mod_ratelimit",
)

EXTERNAL_FILTER = ConfigRule(
    "APA103",
    "external-filter-on-stream",
    Severity.ERROR,
    "the external filter {name!r} holds the stream",
    """\
What: mod_ext_filter pipes the response through another program, and takes back what that program
has written when a buffer is full or the response ends.
Why it hurts: even `cat`, which buffers nothing, makes blocks of 4 KB of a stream; a program with
buffers of its own makes larger ones.
How it is told: SetOutputFilter or AddOutputFilterByType puts a filter on a route that streams
that ExtFilterDefine defines for output.
Fix: none is made, since the filter is wanted somewhere. Take it away for the stream:
    <Location "/v1/">
        SetOutputFilter NONE
    </Location>
Measured: httpd 2.4.71, 200 events 5 ms apart through `cat`, and through `sed`: 19 events per read;
without the filter one. The filters inside httpd (DEFLATE, BROTLI_COMPRESS, SUBSTITUTE, SED,
INCLUDES, BUFFER) passed each event at once.
Source: httpd.apache.org, mod_ext_filter.
""",
    Safety.NONE,
    _MEASURED + "; httpd.apache.org, mod_ext_filter",
)

CACHED = ConfigRule(
    "APA104",
    "cache-on-stream",
    Severity.WARNING,
    "mod_cache may store the streams of {path}",
    """\
What: a response to GET that says how long it is fresh is stored when it ends, and given out from
the store afterwards.
Why it hurts: a stored stream comes in one piece, and is somebody else's answer.
How it is told: `CacheEnable` covers a route that streams, and no `CacheDisable` does. One in a
<Location> does not count against a CacheEnable outside: httpd asks the cache before it looks there.
Fix: safe, for the streaming route alone; none is made for a CacheEnable in a <Location>.
    CacheDisable "/v1/"
Measured: httpd 2.4.71 with mod_cache_disk: the first reader of a stream with `Cache-Control:
max-age=60` gets it event by event, the second one whole and at once, also with `CacheDisable on`
in the <Location>; with the fix each one gets it event by event.
Source: httpd.apache.org, mod_cache.
""",
    Safety.SAFE,
    _MEASURED + "; httpd.apache.org, mod_cache",
)

HTTP_10 = ConfigRule(
    "APA105",
    "old-http-to-origin",
    Severity.WARNING,
    "force-proxy-request-1.0: when the origin dies in mid-stream, the client sees a clean end",
    """\
What: the variable makes mod_proxy_http speak HTTP/1.0, where a body ends with its connection.
Why it hurts: httpd cannot tell an end from a crash of the origin, and ends its own response
properly: a truncated answer looks complete.
How it is told: `SetEnv force-proxy-request-1.0` holds where a streaming route is relayed by HTTP.
Fix: unsafe, since everything under the same section speaks HTTP/1.1 then. Take the line out.
    # no SetEnv force-proxy-request-1.0
Measured: httpd 2.4.71, an origin that drops the connection after 50 of 200 events: with the
variable a clean end, without it a truncated chunked body, which every HTTP client reports.
Source: httpd.apache.org, mod_proxy, environment variables; RFC 9112, 8.
""",
    Safety.UNSAFE,
    _MEASURED + "; httpd.apache.org, mod_proxy; RFC 9112, 8",
)

USELESS_FLUSH = ConfigRule(
    "APA201",
    "flushpackets-over-http",
    Severity.INFO,
    "{parameter} does nothing over {scheme}: mod_proxy_http streams without it",
    """\
What: `flushpackets` is read by mod_proxy_fcgi and mod_proxy_ajp. mod_proxy_http passes on what has
come as soon as the origin pauses, whatever it says.
Why it hurts: who adds it to free a stream looks away from the hop that holds it.
How it is told: a ProxyPass or BalancerMember with http:// or https:// on a route that streams has
`flushpackets` or `flushwait`.
Fix: safe. Take the parameter out.
    ProxyPass "/v1/" "http://127.0.0.1:9000/v1/"
Measured: httpd 2.4.71, 200 events 5 ms apart with `on`, `off` and without it: one event per read.
Source: httpd.apache.org, mod_proxy, flushpackets.
""",
    Safety.SAFE,
    _MEASURED + "; httpd.apache.org, mod_proxy, flushpackets",
)

ACCEL_HEADER = ConfigRule(
    "APA202",
    "x-accel-header-in-apache",
    Severity.INFO,
    "X-Accel-Buffering does nothing in httpd; only an nginx further out reads it",
    """\
What: the header tells nginx, and what is built on it, not to buffer. httpd passes it on unread.
Why it hurts: who adds it to free a stream still has the dam, if there is one.
How it is told: `Header` or `RequestHeader` sets it where a streaming route is relayed.
Fix: none is made, for `Header` is right where an nginx stands further out. In httpd itself only
FastCGI and AJP need something:
    ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
Measured: httpd 2.4.71 over FastCGI held a stream with the header on the response as without it.
""",
    Safety.NONE,
    _MEASURED,
)

SHORT_TIMEOUT = ConfigRule(
    "APA401",
    "short-proxy-timeout",
    Severity.WARNING,
    "a stream that is silent for {limit} s is cut: less than two heartbeats of {heartbeat:g} s",
    """\
What: the `timeout` of a worker ends a response whose origin is silent for so long. Where it is
not said, `ProxyTimeout` holds, then `Timeout`, then 60 s. (Debian's apache2.conf says 300.)
Why it hurts: a model that thinks, waits in a queue or calls a tool is silent, and the client gets
a truncated stream. One heartbeat that is lost or late must not be enough for that.
How it is told: the limit that holds on a streaming route is below twice the heartbeat interval of
the settings (15 s unless they say otherwise); an error if it is no longer than one interval.
Fix: an hour, on the line of the route. Unsafe: a dead origin is noticed as late as that. Behind
RewriteRule and SetHandler, which take no parameters, set ProxyTimeout.
    ProxyPass "/v1/" "http://127.0.0.1:9000/v1/" timeout=3600
Measured: httpd 2.4.71 with a limit of 1 s, in any of the three places and on a BalancerMember, cut
a stream in a silence of 2.5 s; a comment each 0.4 s kept it alive. `timeout` on a ProxyPass to a
balancer, `connectiontimeout` and RequestReadTimeout did not cut it.
Source: httpd.apache.org, mod_proxy, ProxyTimeout and the parameters of ProxyPass.
""",
    Safety.UNSAFE,
    _MEASURED + "; httpd.apache.org, mod_proxy, ProxyTimeout",
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
