"""The rules of haproxy.cfg, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity
from undam.versions import HAPROXY_SSE_UNDELAYED

_MEASURED = "measured on loopback with haproxy 2.6.12"

NO_DELAY = ConfigRule(
    code="HAP101",
    slug="packets-held",
    severity=Severity.ERROR,
    message="{kind} {name} holds each event for about 200 ms: 'option http-no-delay' is missing",
    safety=Safety.SAFE,
    what="""
        Without `option http-no-delay` haproxy marks what it sends as to be continued (MSG_MORE),
        and the kernel waits for a full segment or about 200 ms. From 3.4.7 on event streams are
        sent without this delay, by its announcement (not measured; back-ports are not known).
    """,
    why="""
        The head, the first token and each heartbeat come up to 200 ms late, and the reader sees
        nine tokens at a time where the model gave an even flow.
    """,
    detection="""
        A section of mode http whose route streams, and neither it nor the frontend before it has
        the option, or a `no option http-no-delay` takes it back. One of the two is enough.
    """,
    measured="""
        haproxy 2.6.12, 120 events 25 ms apart: first event 202 ms late, with the option 0.1 ms;
        2.8.25: 204 and 0.1 ms. It worked in the frontend alone, in the backend alone and in
        defaults.
    """,
    fix="""
        Safe; it changes only when bytes leave, at the price of more and smaller packets.
            backend llm
                option http-no-delay
    """,
    source=_MEASURED + "; configuration manual, option http-no-delay",
    affected=HAPROXY_SSE_UNDELAYED.before,
)

STREAM_TYPE = ConfigRule(
    code="HAP102",
    slug="event-stream-compressed",
    severity=Severity.ERROR,
    message="'compression type' lists {type}, so each event waits for the next one",
    safety=Safety.SAFE,
    what="""
        haproxy compresses event streams, and what the compressor holds comes out with the next
        event.
    """,
    why="""
        Each token is one gap late, and the last one before a pause stays inside until the pause
        ends; without `option http-no-delay` heartbeats were 508 ms late.
    """,
    detection="""
        `compression algo` holds for a streaming route and text/event-stream is among its types.
        haproxy compares beginnings, and takes the backend's types before the frontend's. It leaves
        responses with `Cache-Control: no-transform` alone, and clients that accept no gzip.
    """,
    measured="""
        haproxy 2.6.12 with http-no-delay, events 25 ms apart: each 25 to 28 ms late; without the
        type 0.2 ms.
    """,
    fix="""
        Safe; only event streams leave uncompressed. Take the type out of the list; where it is the
        only one, compression goes with it.
            compression type text/html text/css application/javascript
    """,
    source=_MEASURED + "; configuration manual, compression type",
)

EVERY_TYPE = ConfigRule(
    code="HAP103",
    slug="every-type-compressed",
    severity=Severity.ERROR,
    message="{what} compresses event streams too, so each event waits for the next one",
    safety=Safety.UNSAFE,
    what="""
        `compression algo` without any `compression type` compresses every response that is not
        multipart, and a type such as `text/` every type that begins so.
    """,
    why="""
        Event streams are among them; each token is one gap late, and the last one before a pause
        stays inside until the pause ends.
    """,
    detection="""
        Compression holds for a streaming route without a list of types (in the backend, else in the
        frontend), or with a type that text/event-stream begins with.
    """,
    measured="""
        haproxy 2.6.12 with `compression algo gzip` alone, and with `compression type text/`: each
        event 10 ms late at one each 10 ms; with a list 0.1 ms.
    """,
    fix="""
        List what is to be compressed. Unsafe: a type that is not in this list and was compressed
        until now no longer is, so add those that you need.
            compression type text/html text/plain text/css application/javascript application/json
    """,
    source=_MEASURED + "; configuration manual, compression algo",
)

WAITS_FOR_BODY = ConfigRule(
    code="HAP104",
    slug="response-body-awaited",
    severity=Severity.ERROR,
    message="'wait-for-body' holds the response, and answers 504 if it takes longer than {time}",
    safety=Safety.SAFE,
    what="""
        `http-response wait-for-body` keeps the response until its body is whole, until haproxy's
        buffer (16 KB) is full, or until as many bytes are there as `at-least` says.
    """,
    why="""
        The first token comes with the last one. An answer that takes longer than the stated time is
        thrown away: the client gets 504 Gateway Timeout instead of it.
    """,
    detection="""
        The action stands on a streaming route without a small `at-least` (up to 256 bytes) and
        without a condition that leaves text/event-stream out.
    """,
    measured="""
        haproxy 2.6.12, 50 events 25 ms apart: all came at the end; with `time 500ms` the answer was
        504; with `at-least 1`, or the condition above, the stream passed.
    """,
    fix="""
        Safe; only event streams pass without it. Where a condition has several parts joined by `or`
        there is no edit: write two lines.
            http-response wait-for-body time 10s unless { res.hdr(content-type) -m sub text/event-stream }
    """,  # noqa: E501
    source=_MEASURED + "; configuration manual, http-response wait-for-body",
)

TUNNEL_TIMEOUT = ConfigRule(
    code="HAP201",
    slug="tunnel-timeout-for-a-stream",
    severity=Severity.INFO,
    message=(
        "'timeout tunnel {tunnel}' does nothing for event streams: they end after {server} of "
        "silence (timeout server)"
    ),
    safety=Safety.NONE,
    what="""
        `timeout tunnel` holds for connections that were upgraded (WebSocket, CONNECT). An event
        stream is an ordinary response; `timeout server` limits its silences.
    """,
    why="""
        Who sets it to an hour for streams still sees them cut after the 50 s of the sample
        configuration when the model thinks or a queue is long.
    """,
    detection="""
        On a streaming route `timeout tunnel` is longer than `timeout server`. Said for information:
        for WebSockets beside the streams the line is right.
    """,
    measured="""
        haproxy 2.6.12 with `timeout server 2s` and `timeout tunnel 1h` cut a stream in a silence of
        4.5 s; with `timeout tunnel 2s` and a long `timeout server` it passed.
    """,
    fix="""
        None is made. To let streams be silent for longer raise `timeout server`, or send
        heartbeats.
            timeout server 1h
    """,
    source=_MEASURED + "; configuration manual, timeout tunnel",
)

SERVER_TIMEOUT = ConfigRule(
    code="HAP401",
    slug="short-server-timeout",
    severity=Severity.WARNING,
    message=(
        "a stream that is silent for {limit} is cut: less than two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        `timeout server` (and `http-request set-timeout server`) limits how long the origin may be
        silent, also in the middle of a response.
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent. The client gets a truncated
        stream. One heartbeat that is lost or late must not be enough for that.
    """,
    detection="""
        The limit on a streaming route is below twice the heartbeat interval of the settings (15 s
        unless they say otherwise); an error if it is no longer than one interval.
    """,
    measured="""
        haproxy 2.6.12 with a limit of 2 s cut a stream in a silence of 4.5 s; a comment each 0.5 s
        kept it alive. `timeout client` did not cut it.
    """,
    fix="""
        An hour, in the streaming section alone. Unsafe: a dead origin is noticed as late as that.
            timeout server 1h
    """,
    source=_MEASURED + "; configuration manual, timeout server",
)

RULES = (NO_DELAY, STREAM_TYPE, EVERY_TYPE, WAITS_FOR_BODY, TUNNEL_TIMEOUT, SERVER_TIMEOUT)
