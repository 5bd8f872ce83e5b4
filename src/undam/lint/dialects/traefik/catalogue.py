"""The rules of Traefik's configuration, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with Traefik 3.7.15"

BUFFERING = ConfigRule(
    code="TRF101",
    slug="buffering-middleware",
    severity=Severity.ERROR,
    message=(
        "the middleware {name} buffers: it reads the whole response before the first byte leaves"
    ),
    safety=Safety.UNSAFE,
    what="""
        The `buffering` middleware reads the request and the response whole, in memory or on disk.
    """,
    why="Nothing reaches the reader before the model has finished, not even the head.",
    detection="""
        A router that streams uses such a middleware, by itself, in a chain, or through its entry
        point in the same file.
    """,
    measured="""
        Traefik 3.7.15, 300 events 5 ms apart: all came together at the end; without the middleware
        each came at once.
    """,
    fix="""
        Unsafe; it takes the middleware off this router, and with it the limit on the request's
        size.
            routers:
              chat:
                middlewares: [auth]        without the one that buffers
    """,
    source=_MEASURED + "; doc.traefik.io, Buffering",
)

COMPRESS = ConfigRule(
    code="TRF102",
    slug="event-stream-compressed",
    severity=Severity.INFO,
    message=(
        "the middleware {name} compresses event streams; each event is flushed, so nothing is held"
    ),
    safety=Safety.SAFE,
    what="`compress` takes any content type but gRPC unless told which to leave alone.",
    why="""
        Little here: each event is flushed. The next hop can no longer read the events, and small
        ones gain little. Older versions could hold the first 1024 bytes.
    """,
    detection="""
        A router that streams uses a `compress` whose `excludedContentTypes` lacks
        text/event-stream, or whose `includedContentTypes` has it.
    """,
    measured="""
        Traefik 3.7.15 with gzip and brotli, 300 events 5 ms apart: each at once. The head came only
        with the first event, excluded or not; without the middleware it came at once.
    """,
    fix="""
        Safe; only event streams leave uncompressed.
            compress:
              excludedContentTypes:
                - text/event-stream
    """,
    source=_MEASURED + "; doc.traefik.io, Compress",
)

NO_RESPONSE_BUFFER = ConfigRule(
    code="TRF201",
    slug="disable-response-buffer",
    severity=Severity.WARNING,
    message="disableResponseBuffer does not keep the middleware {name} from holding the response",
    safety=Safety.UNSAFE,
    what="""
        `disableResponseBuffer` is to let the response pass while the request's size is limited.
    """,
    why="""
        In Traefik 3.7.15 the line is accepted and changes nothing: the whole response is held, as
        without it. The source of 3.7.9 says that the option can be set by code only. A later
        version may obey it.
    """,
    detection="A router that streams uses a `buffering` middleware that has the line.",
    measured="""
        Traefik 3.7.15, 300 events 5 ms apart, with and without disableRequestBuffer: all came
        together at the end.
    """,
    fix="""
        Unsafe; it takes the middleware off this router, and with it the limit on the request's
        size. With another version, measure it: undam check URL --beacon.
    """,
    source=_MEASURED,
)

FLUSH_INTERVAL = ConfigRule(
    code="TRF202",
    slug="flush-interval-ignored",
    severity=Severity.INFO,
    message=(
        "flushInterval {interval} does nothing here: Traefik flushes each write of a stream at once"
    ),
    safety=Safety.NONE,
    what="`responseForwarding.flushInterval` is the time between flushes, 100 ms by default.",
    why="""
        It does not. But it holds and frees nothing either: event streams, and all bodies without a
        Content-Length, are flushed with each write, whatever stands here.
    """,
    detection="The service of a streaming router has an interval above 0.",
    measured="Traefik 3.7.15 with 1s, 300 events 5 ms apart: each came at once.",
    fix="None needed; the line can go.",
    source=_MEASURED + "; doc.traefik.io, HTTP services",
)

WRITE_TIMEOUT = ConfigRule(
    code="TRF401",
    slug="write-timeout",
    severity=Severity.ERROR,
    message=(
        "writeTimeout {limit} of the entry point {name} ends each response; heartbeats do not help"
    ),
    safety=Safety.UNSAFE,
    what="""
        `respondingTimeouts.writeTimeout` counts from the end of the request's head to the end of
        the response.
    """,
    why="A stream that takes longer is cut in the middle, and no heartbeat moves the limit.",
    detection="""
        An entry point has one above 0 and below an hour, and a streaming router of the same file
        uses it, or `--stream` says that something streams: an error up to a minute, a warning
        above. Where the routers stand in other files it is a remark.
    """,
    measured="""
        Traefik 3.7.15 with 2s: cut 2.0 s after the request, truncated, while events came each 100
        ms. readTimeout 2s and idleTimeout 2s cut nothing.
    """,
    fix="""
        Unsafe; it holds for all routers of the entry point. 0 is the default, and means no limit.
            transport:
              respondingTimeouts:
                writeTimeout: 0s
    """,
    source=_MEASURED + "; doc.traefik.io, EntryPoints",
)

HEADER_TIMEOUT = ConfigRule(
    code="TRF402",
    slug="response-header-timeout",
    severity=Severity.WARNING,
    message="responseHeaderTimeout {limit} gives up a request whose response head comes later",
    safety=Safety.UNSAFE,
    what="""
        `forwardingTimeouts.responseHeaderTimeout` is how long the server may take for the head.
    """,
    why="Many servers send the head with the first token. A long prefill then ends in a 504.",
    detection="""
        It is above 0 and below a minute, in the transport that the service of a streaming router
        uses, or in the static `serversTransport`.
    """,
    measured="""
        Traefik 3.7.15 with 1s before a server whose head comes after 2.5 s: 504, static and dynamic
        alike.
    """,
    fix="""
        Unsafe; it holds for all services with this transport. 0 is the default, and means no limit.
            forwardingTimeouts:
              responseHeaderTimeout: 0s
    """,
    source=_MEASURED + "; doc.traefik.io, ServersTransport",
)

RULES = (BUFFERING, COMPRESS, NO_RESPONSE_BUFFER, FLUSH_INTERVAL, WRITE_TIMEOUT, HEADER_TIMEOUT)
