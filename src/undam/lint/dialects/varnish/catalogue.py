"""The rules of VCL, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with varnish 7.1.1"

_FIX = """\
Fix: safe; only event streams pass without it. On a route of its own the value is turned round.
    if (beresp.http.Content-Type !~ "text/event-stream") {{
        set beresp.{name} = {value};
    }}
"""

NO_STREAM = ConfigRule(
    code="VRN101",
    slug="response-not-streamed",
    severity=Severity.ERROR,
    message="'beresp.do_stream = false' holds the whole response",
    safety=Safety.SAFE,
    what="""
        Varnish streams by default. With `set beresp.do_stream = false;` it fetches the whole
        response before it delivers the first byte, and adds a Content-Length.
    """,
    why="""
        The first token comes with the last one; heartbeats are held, too; and early headers would
        prove nothing, for there are none.
    """,
    detection="""
        The statement stands where a streaming response meets it: its conditions on the URL and
        Content-Type are looked at, and one that asks for anything else is left alone.
    """,
    measured="""
        varnish 7.1.1, 120 events 25 ms apart: all came after 3.0 s; by default 0.2 ms late.
    """,
    fix="""
        Safe; only event streams pass without it. On a route of its own the value is turned round.
            if (beresp.http.Content-Type !~ "text/event-stream") {
                set beresp.do_stream = false;
            }
    """,
    source=_MEASURED + "; vcl-var(7), beresp.do_stream",
)

ESI = ConfigRule(
    code="VRN102",
    slug="esi-on-event-streams",
    severity=Severity.ERROR,
    message="'beresp.do_esi = true' holds the whole response",
    safety=Safety.SAFE,
    what="""
        To look for ESI tags Varnish reads the whole response before it delivers the first byte.
    """,
    why="The first token comes with the last one, and an event stream has no such tags.",
    detection="""
        The statement stands where a streaming response meets it. One that is asked for by
        Surrogate-Control, or by another type than text/event-stream, is left alone.
    """,
    measured="""
        varnish 7.1.1, 120 events 25 ms apart: all came after 3.0 s, with a Content-Length.
    """,
    fix="""
        Safe; only event streams pass without it. On a route of its own the value is turned round.
            if (beresp.http.Content-Type !~ "text/event-stream") {
                set beresp.do_esi = true;
            }
    """,
    source=_MEASURED + "; vcl-var(7), beresp.do_esi",
)

GZIP = ConfigRule(
    code="VRN103",
    slug="event-stream-gzipped",
    severity=Severity.ERROR,
    message="'beresp.do_gzip = true' holds a stream in blocks of 16 KB of gzip",
    safety=Safety.SAFE,
    what="Varnish compresses the response into blocks, and flushes nothing in between.",
    why="""
        The headers come at once, then nothing: 16 KB of gzip output are more than a whole answer.
        `do_stream = true` beside it does not help.
    """,
    detection="""
        The statement stands where a streaming response meets it. A condition on Content-Type that
        text/event-stream does not match leaves it alone; `~ "text"` matches it.
    """,
    measured="""
        varnish 7.1.1, 120 events 25 ms apart: headers after 1 ms, all events after 3.0 s.
    """,
    fix="""
        Safe; only event streams pass without it. On a route of its own the value is turned round.
            if (beresp.http.Content-Type !~ "text/event-stream") {
                set beresp.do_gzip = true;
            }
    """,
    source=_MEASURED + "; vcl-var(7), beresp.do_gzip",
)

TOO_LATE = ConfigRule(
    code="VRN201",
    slug="backend-timeout-set-too-late",
    severity=Severity.WARNING,
    message=(
        "'{name}' does nothing in vcl_backend_response: the fetch "
        "keeps the limit that it began with"
    ),
    safety=Safety.NONE,
    what="""
        The limits of a fetch are taken when it starts. `set bereq.between_bytes_timeout` compiles
        in vcl_backend_response, but comes after that.
    """,
    why="Who raises the limit there for streams still sees them cut after 60 s of silence.",
    detection="""
        A `set` of bereq's between_bytes_timeout or first_byte_timeout stands in
        vcl_backend_response, where a streaming response meets it.
    """,
    measured="""
        varnish 7.1.1 with a limit of 2 s in the backend and 1 h set in vcl_backend_response cut a
        stream in a silence of 4.5 s; with 1 h set in vcl_backend_fetch it passed.
    """,
    fix="""
        None is made, for its conditions may ask for what only the response has. Set it before:
            sub vcl_backend_fetch {
                set bereq.between_bytes_timeout = 3600s;
            }
    """,
    source=_MEASURED,
)

BETWEEN_BYTES = ConfigRule(
    code="VRN401",
    slug="short-between-bytes-timeout",
    severity=Severity.WARNING,
    message=(
        "a stream that is silent for {limit} is cut: less than two heartbeats of {heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        between_bytes_timeout (60 s by default) ends a fetch whose backend is silent for so long.
    """,
    why="""
        A model that thinks, waits in a queue or calls a tool is silent, and the client gets a
        truncated stream. One heartbeat that is lost or late must not be enough for that.
    """,
    detection="""
        The limit of a backend that streams come from, or one that vcl_backend_fetch sets for them,
        is below twice the heartbeat interval of the settings (15 s unless they say otherwise); an
        error if it is no longer than one interval. Piped requests know no such limit.
    """,
    measured="varnish 7.1.1 with a limit of 2 s cut a stream in a silence of 4.5 s.",
    fix="""
        An hour. Unsafe: a dead backend is noticed as late as that.
            .between_bytes_timeout = 3600s;
    """,
    source=_MEASURED + "; vcl-backend(7), between_bytes_timeout",
)

FIRST_BYTE = ConfigRule(
    code="VRN402",
    slug="short-first-byte-timeout",
    severity=Severity.WARNING,
    message=(
        "a response that begins later than {limit} becomes a 503: less than two heartbeats of "
        "{heartbeat:g} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        first_byte_timeout (60 s by default) limits how long a backend may take to the first byte of
        its response.
    """,
    why="""
        A server that sends its head only with the first token is silent while the model reads a
        long prompt or waits in a queue. The client gets 503 instead of the answer.
    """,
    detection="""
        The limit of a backend that streams come from, or one that vcl_backend_fetch sets for them,
        is below twice the heartbeat interval of the settings (15 s unless they say otherwise). Only
        a warning: a server that sends its head at once, and heartbeats, is not touched by it.
    """,
    measured="varnish 7.1.1 with a limit of 1 s answered 503 to a head that came after 2.5 s.",
    fix="""
        An hour. Unsafe: a dead backend is noticed as late as that.
            .first_byte_timeout = 3600s;
    """,
    source=_MEASURED + "; vcl-backend(7), first_byte_timeout",
)

RULES = (NO_STREAM, ESI, GZIP, TOO_LATE, BETWEEN_BYTES, FIRST_BYTE)
