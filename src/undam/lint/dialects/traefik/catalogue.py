"""The rules of Traefik's configuration, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with Traefik 3.7.15"

BUFFERING = ConfigRule(
    "TRF101",
    "buffering-middleware",
    Severity.ERROR,
    "the middleware {name} buffers: it reads the whole response before the first byte leaves",
    """\
What: the `buffering` middleware reads the request and the response whole, in memory or on disk.
Why it hurts: nothing reaches the reader before the model has finished, not even the head.
How it is told: a router that streams uses such a middleware, by itself, in a chain, or through
its entry point in the same file.
Fix: unsafe; it takes the middleware off this router, and with it the limit on the request's size.
    routers:
      chat:
        middlewares: [auth]        without the one that buffers
Measured: Traefik 3.7.15, 300 events 5 ms apart: all came together at the end; without the
middleware each came at once.
Source: doc.traefik.io, Buffering.
""",
    Safety.UNSAFE,
    _MEASURED + "; doc.traefik.io, Buffering",
)

COMPRESS = ConfigRule(
    "TRF102",
    "event-stream-compressed",
    Severity.INFO,
    "the middleware {name} compresses event streams; each event is flushed, so nothing is held",
    """\
What: `compress` takes any content type but gRPC unless told which to leave alone.
Why it hurts: little here: each event is flushed. The next hop can no longer read the events, and
small ones gain little. Older versions could hold the first 1024 bytes.
How it is told: a router that streams uses a `compress` whose `excludedContentTypes` lacks
text/event-stream, or whose `includedContentTypes` has it.
Fix: safe; only event streams leave uncompressed.
    compress:
      excludedContentTypes:
        - text/event-stream
Measured: Traefik 3.7.15 with gzip and brotli, 300 events 5 ms apart: each at once. The head came
only with the first event, excluded or not; without the middleware it came at once.
Source: doc.traefik.io, Compress.
""",
    Safety.SAFE,
    _MEASURED + "; doc.traefik.io, Compress",
)

NO_RESPONSE_BUFFER = ConfigRule(
    "TRF201",
    "disable-response-buffer",
    Severity.WARNING,
    "disableResponseBuffer does not keep the middleware {name} from holding the response",
    """\
What: `disableResponseBuffer` is to let the response pass while the request's size is limited.
Why it hurts: in Traefik 3.7.15 the line is accepted and changes nothing: the whole response is
held, as without it. A later version may obey it.
How it is told: a router that streams uses a `buffering` middleware that has the line.
Fix: unsafe; it takes the middleware off this router, and with it the limit on the request's size.
With another version, measure it: undam check URL --beacon.
Measured: Traefik 3.7.15, 300 events 5 ms apart, with and without disableRequestBuffer: all came
together at the end.
Source: doc.traefik.io, Buffering, which says that it streams.
""",
    Safety.UNSAFE,
    _MEASURED,
)

FLUSH_INTERVAL = ConfigRule(
    "TRF202",
    "flush-interval-ignored",
    Severity.INFO,
    "flushInterval {interval} does nothing here: Traefik flushes each write of a stream at once",
    """\
What: `responseForwarding.flushInterval` is the time between flushes, 100 ms by default.
Why it hurts: it does not. But it holds and frees nothing either: event streams, and all bodies
without a Content-Length, are flushed with each write, whatever stands here.
How it is told: the service of a streaming router has an interval above 0.
Fix: none needed; the line can go.
Measured: Traefik 3.7.15 with 1s, 300 events 5 ms apart: each came at once.
Source: doc.traefik.io, HTTP services, responseForwarding.
""",
    Safety.NONE,
    _MEASURED + "; doc.traefik.io, HTTP services",
)

WRITE_TIMEOUT = ConfigRule(
    "TRF401",
    "write-timeout",
    Severity.ERROR,
    "writeTimeout {limit} of the entry point {name} ends each response; heartbeats do not help",
    """\
What: `respondingTimeouts.writeTimeout` counts from the end of the request's head to the end of the
response.
Why it hurts: a stream that takes longer is cut in the middle, and no heartbeat moves the limit.
How it is told: an entry point has one above 0 and below an hour, and a streaming router of the
same file uses it, or `--stream` says that something streams: an error up to a minute, a warning
above. Where the routers stand in other files it is a remark.
Fix: unsafe; it holds for all routers of the entry point. 0 is the default, and means no limit.
    transport:
      respondingTimeouts:
        writeTimeout: 0s
Measured: Traefik 3.7.15 with 2s: cut 2.0 s after the request, truncated, while events came each
100 ms. readTimeout 2s and idleTimeout 2s cut nothing.
Source: doc.traefik.io, EntryPoints, respondingTimeouts.
""",
    Safety.UNSAFE,
    _MEASURED + "; doc.traefik.io, EntryPoints",
)

HEADER_TIMEOUT = ConfigRule(
    "TRF402",
    "response-header-timeout",
    Severity.WARNING,
    "responseHeaderTimeout {limit} gives up a request whose response head comes later",
    """\
What: `forwardingTimeouts.responseHeaderTimeout` is how long the server may take for the head.
Why it hurts: many servers send the head with the first token. A long prefill then ends in a 504.
How it is told: it is above 0 and below a minute, in the transport that the service of a streaming
router uses, or in the static `serversTransport`.
Fix: unsafe; it holds for all services with this transport. 0 is the default, and means no limit.
    forwardingTimeouts:
      responseHeaderTimeout: 0s
Measured: Traefik 3.7.15 with 1s before a server whose head comes after 2.5 s: 504, static and
dynamic alike.
Source: doc.traefik.io, ServersTransport.
""",
    Safety.UNSAFE,
    _MEASURED + "; doc.traefik.io, ServersTransport",
)

RULES = (BUFFERING, COMPRESS, NO_RESPONSE_BUFFER, FLUSH_INTERVAL, WRITE_TIMEOUT, HEADER_TIMEOUT)
