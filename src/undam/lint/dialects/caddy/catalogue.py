"""The rules of a Caddyfile, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with Caddy 2.6.2"

BUFFERED = ConfigRule(
    code="CAD101",
    slug="responses-buffered",
    severity=Severity.ERROR,
    message="{name} holds the response of a route that streams",
    safety=Safety.SAFE,
    what="""
        `buffer_responses` reads a response whole before the first byte is sent; 2.8 and later
        refuse it as unknown. `response_buffers SIZE`, from 2.7 on, holds the first SIZE bytes, and
        a shorter response to its end.
    """,
    why="""
        The first token comes with the last one; heartbeats are held, too. `flush_interval -1`
        beside it changes nothing.
    """,
    detection="The line stands in a reverse_proxy that streams.",
    measured="""
        Caddy 2.6.2, 200 events 5 ms apart: all came after 1.0 s in one read, also with
        `flush_interval -1`; without the line one event per read. Caddy 2.11.7 with
        `response_buffers 1MiB` held 60 events to the end.
    """,
    fix="""
        Safe. Take the line out; Caddy streams by default.
            reverse_proxy 127.0.0.1:9000
    """,
    source=_MEASURED + "; caddyserver.com, reverse_proxy",
)

ENCODED = ConfigRule(
    code="CAD102",
    slug="encode-on-stream",
    severity=Severity.WARNING,
    message="encode compresses event streams, and before 2.9 holds what it compresses",
    safety=Safety.UNSAFE,
    what="""
        Without a `match`, encode takes every text/* response; whether it is long enough is told by
        the first write, 512 bytes unless `minimum_length` says less. Before 2.9 a flush of the
        stream does not reach the compressor.
    """,
    why="""
        A stream whose first event is long enough is held: with zstd to its end, with gzip in
        blocks. `flush_interval -1` changes nothing.
    """,
    detection="""
        An `encode` without `match`, or one that matches event streams, holds for a route that
        streams.
    """,
    measured="""
        Caddy 2.6.2, 150 events of 700 bytes 5 ms apart: zstd gave all after 0.75 s, gzip 66 events
        per read; events under 512 bytes passed at once, and with `minimum_length 1` at the end.
    """,
    fix="""
        Unsafe, since types that are not in the list are no longer compressed. From 2.9 on each
        event is flushed; allow the rule there.
            encode gzip {
                match {
                    header Content-Type text/html*
                }
            }
    """,
    source=_MEASURED + "; caddyserver.com, encode",
)

FLUSH_INTERVAL = ConfigRule(
    code="CAD201",
    slug="flush-interval-in-vain",
    severity=Severity.INFO,
    message="flush_interval {value} does nothing for a stream: Caddy flushes each event of one",
    safety=Safety.SAFE,
    what="""
        A positive `flush_interval` flushes responses of a known length every so often. Event
        streams and whatever else has no Content-Length are flushed at once whatever it says.
    """,
    why="Who adds it to free a stream looks away from the hop that holds it.",
    detection="A positive value in a reverse_proxy that streams.",
    measured="""
        Caddy 2.6.2, 200 events 5 ms apart with 200 ms, 5 s and without it: one event per read.
    """,
    fix="""
        Safe. Take the line out.
            reverse_proxy 127.0.0.1:9000
    """,
    source=_MEASURED + "; caddyserver.com, reverse_proxy, flush_interval",
)

ACCEL_HEADER = ConfigRule(
    code="CAD202",
    slug="x-accel-header-in-caddy",
    severity=Severity.INFO,
    message="X-Accel-Buffering does nothing in Caddy; only an nginx further out reads it",
    safety=Safety.NONE,
    what="""
        The header tells nginx, and what is built on it, not to buffer. Caddy passes it on unread.
    """,
    why="Who adds it to free a stream still has the dam, if there is one.",
    detection="""
        `header`, `header_up` or `header_down` sets it where a streaming route is relayed.
    """,
    measured="Caddy 2.6.2 with `buffer_responses` and the header held a stream to its end.",
    fix="""
        None is made, for it is right where an nginx stands further out. In Caddy itself nothing
        needs to be said:
            reverse_proxy 127.0.0.1:9000
    """,
    source=_MEASURED,
)

READ_TIMEOUT = ConfigRule(
    code="CAD401",
    slug="short-read-timeout",
    severity=Severity.WARNING,
    message=(
        "a stream that is silent for {limit:g} s is cut: less than "
        "two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        `read_timeout` of the http transport ends a response whose origin is silent for so long.
        There is no such limit by default.
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent, and the client gets half an
        answer. With 2.6.2 it ends cleanly and looks complete; with 2.11.7 it is truncated.
    """,
    detection="""
        The limit on a streaming route is below twice the heartbeat interval of the settings (15 s
        unless they say otherwise); an error if it is no longer than one interval.
    """,
    measured="""
        Caddy 2.6.2 with 1 s ended a stream in a silence of 2.5 s with a clean end, 2.11.7 with a
        truncation; a comment each 0.4 s kept it alive. `write_timeout`, `keepalive` and
        `response_header_timeout` did not cut it.
    """,
    fix="""
        Unsafe, since a dead origin is noticed as late as that.
            read_timeout 1h
    """,
    source=_MEASURED + "; caddyserver.com, reverse_proxy",
)

WRITE_TIMEOUT = ConfigRule(
    code="CAD402",
    slug="total-write-timeout",
    severity=Severity.WARNING,
    message="every response is cut after {limit:g} s, however often it says something",
    safety=Safety.UNSAFE,
    what="""
        `write` among the `timeouts` of the global option `servers` is the time for a whole
        response, from the end of the request's headers on. There is no such limit by default.
    """,
    why="A long answer is cut in the middle of its tokens; no heartbeat helps.",
    detection="""
        The limit is set below an hour, and a route of this file streams; an error up to a minute.
    """,
    measured="""
        Caddy 2.6.2 with 1 s cut streams of 2.7 s, with a comment each 0.4 s, too. `idle`,
        `read_body` and `read_header` did not.
    """,
    fix="""
        Unsafe, since it holds for every route of the server. Take the line out.
            servers {
                timeouts {
                    idle 5m
                }
            }
    """,
    source=_MEASURED + "; caddyserver.com, global options, timeouts",
)

RULES = (BUFFERED, ENCODED, FLUSH_INTERVAL, ACCEL_HEADER, READ_TIMEOUT, WRITE_TIMEOUT)
